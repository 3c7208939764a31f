-- Strapi, REST API. Generation 5 keeps a draft beside what is public; in generation 4 an entry is the one or the other. It compares no versions.
local M = {}

function M.headers(client)
  return {Authorization = "Bearer " .. client:need("token")}
end

function M.explain(body)
  local why = type(body) == "table" and body.error
  if type(why) ~= "table" then return nil end
  return why.name, why.message
end

local function is_new(client)
  return client.site.generation == 5
end

local function entry_of(client, said)
  local site, fields = client.site, is_new(client) and said or said.attributes
  return {
    id = is_new(client) and said.documentId or said.id, title = fields[site.title_field], body = fields[site.body_field], slug = fields[site.slug_field],
    version = fields.updatedAt, is_public = not is_new(client) and fields.publishedAt ~= nil, fields = fields,
  }
end

local function path_of(collection, id, client)
  return "/api/" .. collection .. (id and "/" .. client.ctx.urlencode(tostring(id)) or "")
end

-- RFC 3339, of now.
local function timestamp(client)
  local seconds = client.ctx.now() // 1000
  local days, rest = seconds // 86400, seconds % 86400
  local z = days + 719468 -- days since 0000-03-01, in the proleptic Gregorian calendar
  local era, day = z // 146097, z % 146097
  local year = (day - day // 1460 + day // 36524 - day // 146096) // 365
  local of_year = day - (365 * year + year // 4 - year // 100)
  local month = (5 * of_year + 2) // 153
  local date = of_year - (153 * month + 2) // 5 + 1
  local m = month < 10 and month + 3 or month - 9
  return ("%04d-%02d-%02dT%02d:%02d:%02dZ"):format(year + era * 400 + (m <= 2 and 1 or 0), m, date, rest // 3600, rest // 60 % 60, rest % 60)
end

-- Of generation 5 the draft is what is worked on, and its version counts.
local function add_public(client, collection, draft)
  if not is_new(client) then return draft end
  local answer = client:call{path = path_of(collection, draft.id, client), query = {status = "published"}, accept = {[404] = true}}
  if answer.status == 404 then return draft end
  local public = entry_of(client, answer.json.data)
  public.is_public, public.version = true, draft.version
  if public.title ~= draft.title or public.body ~= draft.body then public.draft = {title = draft.title, body = draft.body} end
  return public
end

function M.get(client, collection, id)
  local query = is_new(client) and {status = "draft"} or {publicationState = "preview"}
  local answer = client:call{path = path_of(collection, id, client), query = query, accept = {[404] = true}}
  return answer.status == 200 and add_public(client, collection, entry_of(client, answer.json.data)) or nil
end

function M.by_slug(client, collection, slug)
  local query = is_new(client) and {status = "draft"} or {publicationState = "preview"}
  query["filters[" .. client.site.slug_field .. "][$eq]"] = slug
  local found = client:call{path = path_of(collection), query = query}.json.data[1]
  return found and add_public(client, collection, entry_of(client, found)) or nil
end

local function data_of(client, changes)
  local data = {[client.site.title_field] = changes.title, [client.site.body_field] = changes.body}
  for name, value in pairs(changes.fields) do data[name] = value end
  return data
end

function M.create(client, collection, slug, changes)
  local data = data_of(client, changes)
  data[client.site.slug_field] = slug
  if not is_new(client) then data.publishedAt = client.ctx.json.null end
  local query = is_new(client) and {status = "draft"} or nil
  return entry_of(client, client:call{method = "POST", path = path_of(collection), query = query, json = {data = data}}.json.data)
end

function M.save(client, collection, entry, changes)
  if not is_new(client) and entry.is_public then
    client:wrong("published", "strapi 4 keeps no draft of what is public: give title and body to cms/publish instead")
  end
  local query = is_new(client) and {status = "draft"} or nil
  local saved = entry_of(client, client:call{method = "PUT", path = path_of(collection, entry.id, client), query = query, json = {data = data_of(client, changes)}}.json.data)
  saved.is_public = entry.is_public
  return saved
end

-- Generation 5 publishes what the request holds: the draft goes along.
function M.publish(client, collection, entry, changes)
  local now = entry.draft or entry
  local data = data_of(client, {title = changes.title or now.title, body = changes.body or now.body, fields = changes.fields})
  if not is_new(client) then data.publishedAt = timestamp(client) end
  local query = is_new(client) and {status = "published"} or nil
  client:call{method = "PUT", path = path_of(collection, entry.id, client), query = query, json = {data = data}}
  return M.get(client, collection, entry.id) -- the version that counts is the draft's
end

return M
