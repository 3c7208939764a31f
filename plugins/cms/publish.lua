-- uses: cms/publish@1
local entries = require "entries"
return action {
  name = "cms/publish",
  version = "1.0.0",
  doc = "Makes an entry, or what is drafted of it, public.",
  limit = "cms",
  inputs = {
    site = {type = "string", doc = "which of configure.cms.sites; default the first"},
    collection = {type = "string", doc = "posts, pages, a content type; default the site's"},
    id = {type = "any", required = true},
    title = {type = "string", doc = "instead of the draft's"},
    body = {type = "any", doc = "instead of the draft's"},
    fields = {type = "object", default = {}, doc = "more, by the vendor's own names"},
    if_version = {type = "any", doc = "only when the entry is still at this version"},
  },
  outputs = {id = {type = "string", required = true}, version = {type = "string", required = true}, url = {type = "string"}},
  run = function(ctx, input) return entries.publish(ctx, input) end,
}
