-- uses: cms/get@1
local entries = require "entries"
return action {
  name = "cms/get",
  version = "1.0.0",
  doc = "An entry by its id or slug, and what is drafted of it.",
  effect = "read",
  limit = "cms",
  inputs = {
    site = {type = "string", doc = "which of configure.cms.sites; default the first"},
    collection = {type = "string", doc = "posts, pages, a content type; default the site's"},
    id = {type = "any"},
    slug = {type = "string", doc = "its name in addresses"},
  },
  outputs = {
    id = {type = "string", required = true},
    title = {type = "string"},
    body = {type = "any", doc = "what is public, if it is; contentful tells only the draft when there is one"},
    slug = {type = "string"},
    version = {type = "string", required = true, doc = "for if_version"},
    status = {type = "string", required = true, enum = {"draft", "published", "changed"}, doc = "changed: public, with a draft"},
    draft = {type = "object", doc = "title and body that are not public yet"},
    url = {type = "string"},
    fields = {type = "object", required = true, doc = "all that the vendor says, by its own names"},
  },
  run = function(ctx, input) return entries.get(ctx, input) end,
}
