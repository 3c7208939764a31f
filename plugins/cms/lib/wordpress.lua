-- WordPress, REST API v2 with application passwords. What is changed of a public post without publishing it is an autosave; WordPress itself compares no
-- versions.
local M = {collection = "posts"}
local root = "/wp-json/wp/v2/"

function M.headers(client)
  return {Authorization = "Basic " .. client.ctx.base64(client:need("user") .. ":" .. client:need("password"))}
end

function M.explain(body)
  if type(body) ~= "table" then return nil end
  return body.code, body.message
end

local function raw(value)
  return type(value) == "table" and (value.raw or value.rendered) or value
end

local function entry_of(post)
  return {
    id = post.id, title = raw(post.title), body = raw(post.content), slug = post.slug, version = post.modified_gmt, url = post.link,
    is_public = post.status == "publish" or post.status == "private", fields = post,
  }
end

-- The newest autosave of a public post, if it says anything else than the post.
local function add_draft(client, collection, entry)
  if not entry.is_public then return entry end
  local newest
  for _, save in ipairs(client:call{path = root .. collection .. "/" .. entry.id .. "/autosaves", query = {context = "edit"}}.json) do
    if not newest or save.modified_gmt > newest.modified_gmt then newest = save end
  end
  if newest and (raw(newest.title) ~= entry.title or raw(newest.content) ~= entry.body) then
    entry.draft = {id = newest.id, title = raw(newest.title), body = raw(newest.content), is_stale = newest.modified_gmt < entry.version}
  end
  return entry
end

function M.get(client, collection, id)
  local answer = client:call{path = root .. collection .. "/" .. client.ctx.urlencode(id), query = {context = "edit"}, accept = {[404] = true}}
  return answer.status == 200 and add_draft(client, collection, entry_of(answer.json)) or nil
end

function M.by_slug(client, collection, slug)
  local found = client:call{path = root .. collection, query = {slug = slug, status = "any", context = "edit", per_page = 1}}.json[1]
  return found and add_draft(client, collection, entry_of(found)) or nil
end

local function body_of(changes)
  local body = {title = changes.title, content = changes.body}
  for name, value in pairs(changes.fields) do body[name] = value end
  return body
end

function M.create(client, collection, slug, changes)
  local body = body_of(changes)
  body.slug, body.status = slug, "draft"
  return entry_of(client:call{method = "POST", path = root .. collection, json = body, query = {context = "edit"}}.json)
end

-- As WordPress compares an autosave with its post.
local function is_same(one, other)
  return tostring(one or ""):gsub("%s+", " ") == tostring(other or ""):gsub("%s+", " ")
end

function M.save(client, collection, entry, changes)
  local path = root .. collection .. "/" .. entry.id
  if not entry.is_public then return entry_of(client:call{method = "POST", path = path, json = body_of(changes), query = {context = "edit"}}.json) end
  if next(changes.fields) then client:wrong("input", "fields of a public entry cannot be drafted by wordpress, only title and body") end
  local now = entry.draft or entry
  local title, body = changes.title or now.title, changes.body or now.body
  if is_same(title, entry.title) and is_same(body, entry.body) then -- WordPress saves no draft of what is public already, and would leave the old one
    if entry.draft then client:call{method = "DELETE", path = path .. "/revisions/" .. entry.draft.id, query = {force = true}} end
    return entry
  end
  client:call{method = "POST", path = path .. "/autosaves", json = {title = title, content = body}}
  return entry -- the public one, and its version, are as they were
end

function M.publish(client, collection, entry, changes)
  local body = body_of(changes)
  if entry.draft then body.title, body.content = body.title or entry.draft.title, body.content or entry.draft.body end
  body.status = "publish"
  return entry_of(client:call{method = "POST", path = root .. collection .. "/" .. entry.id, json = body, query = {context = "edit"}}.json)
end

return M
