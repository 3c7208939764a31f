-- Contentful, Content Management API. Each write names the version that it has read. The id of a new entry follows from its slug, so that it is made once.
local M = {url = "https://api.contentful.com"}

function M.headers(client)
  return {Authorization = "Bearer " .. client:need("token"), ["Content-Type"] = "application/vnd.contentful.management.v1+json"}
end

function M.explain(body)
  if type(body) ~= "table" or type(body.sys) ~= "table" then return nil end
  local first = type(body.details) == "table" and type(body.details.errors) == "table" and body.details.errors[1]
  local why = first and (first.details or first.name)
  return body.sys.id, why and tostring(body.message) .. " (" .. tostring(why) .. ")" or body.message
end

local function path_of(client, id)
  local path = "/spaces/" .. client.ctx.urlencode(client:need("space")) .. "/environments/" .. client.ctx.urlencode(client.site.environment) .. "/entries"
  return id and path .. "/" .. client.ctx.urlencode(id) or path
end

-- A published entry of which nothing has changed is one version behind its own publishing.
local function entry_of(client, said)
  local site, fields = client.site, {}
  for name, locales in pairs(said.fields or {}) do fields[name] = locales[site.locale] end
  local published = said.sys.publishedVersion
  local out = {
    id = said.sys.id, title = fields[site.title_field], body = fields[site.body_field], slug = fields[site.slug_field], version = said.sys.version,
    is_public = published ~= nil, fields = fields, raw = said.fields or {}, metadata = said.metadata,
  }
  if published and said.sys.version > published + 1 then
    out.draft = {title = out.title, body = out.body}
    out.body = nil -- what is public is not told beside a draft
  end
  return out
end

function M.get(client, collection, id)
  local answer = client:call{path = path_of(client, id), accept = {[404] = true}}
  return answer.status == 200 and entry_of(client, answer.json) or nil
end

function M.by_slug(client, collection, slug)
  local said = client:call{path = path_of(client), query = {content_type = collection, ["fields." .. client.site.slug_field] = slug, limit = 1}}.json
  return said.items[1] and entry_of(client, said.items[1]) or nil
end

-- A PUT replaces all fields, in all locales, and the tags: what is not meant is sent as it was.
local function write(client, id, headers, raw, changes, metadata)
  local site, fields, values = client.site, {}, {[client.site.title_field] = changes.title, [client.site.body_field] = changes.body}
  for name, value in pairs(changes.fields) do values[name] = value end
  for name, locales in pairs(raw) do fields[name] = locales end
  for name, value in pairs(values) do
    local locales = {}
    for locale, old in pairs(fields[name] or {}) do locales[locale] = old end
    locales[site.locale] = value
    fields[name] = locales
  end
  local answer = client:call{method = "PUT", path = path_of(client, id), headers = headers, json = {fields = fields, metadata = metadata}, accept = {[409] = true}}
  return answer.status ~= 409 and entry_of(client, answer.json) or nil
end

function M.create(client, collection, slug, changes)
  local id = client.ctx.hmac("sha256", "bellwire.cms", collection .. "/" .. slug):sub(1, 22)
  local raw = {[client.site.slug_field] = {[client.site.locale] = slug}}
  return write(client, id, {["X-Contentful-Content-Type"] = collection}, raw, changes)
end

function M.save(client, collection, entry, changes)
  return write(client, entry.id, {["X-Contentful-Version"] = entry.version}, entry.raw, changes, entry.metadata)
end

function M.publish(client, collection, entry, changes)
  if changes.title ~= nil or changes.body ~= nil or next(changes.fields) then
    entry = M.save(client, collection, entry, changes)
    if not entry then return nil end
  end
  local answer = client:call{method = "PUT", path = path_of(client, entry.id) .. "/published", headers = {["X-Contentful-Version"] = entry.version}, accept = {[409] = true}}
  return answer.status ~= 409 and entry_of(client, answer.json) or nil
end

return M
