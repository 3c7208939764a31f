-- uses: cms/draft@1
local entries = require "entries"
return action {
  name = "cms/draft",
  version = "1.0.0",
  doc = "Writes an entry, or changes of one, that nobody sees yet.",
  limit = "cms",
  inputs = {
    site = {type = "string", doc = "which of configure.cms.sites; default the first"},
    collection = {type = "string", doc = "posts, pages, a content type; default the site's"},
    id = {type = "any", doc = "of the entry to be changed; without it the one with this slug, or a new one"},
    slug = {type = "string", doc = "its name in addresses; default: one that follows from the step"},
    title = {type = "string"},
    body = {type = "any", doc = "HTML; contentful and strapi: what the field takes"},
    fields = {type = "object", default = {}, doc = "more, by the vendor's own names"},
    if_version = {type = "any", doc = "only when the entry is still at this version"},
  },
  outputs = {
    id = {type = "string", required = true},
    slug = {type = "string"},
    version = {type = "string", required = true, doc = "for if_version of cms/publish"},
    url = {type = "string"},
    created = {type = "boolean", required = true, doc = "as the last attempt saw it"},
  },
  run = function(ctx, input) return entries.draft(ctx, input) end,
}
