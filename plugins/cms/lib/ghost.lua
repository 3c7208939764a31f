-- Ghost, Admin API v5. A write names the updated_at that it has read, and Ghost refuses it when the post is at another one. A public post has no draft.
local M = {collection = "posts"}
local LIFE_S = 300 -- of a token; Ghost takes no longer ones

local function base64url(ctx, text)
  return (ctx.base64(text):gsub("[+/=]", {["+"] = "-", ["/"] = "_", ["="] = ""}))
end

local function token(client)
  local ctx = client.ctx
  local id, secret = client:need("key"):match("^(%x+):(%x+)$")
  if not id or #secret % 2 == 1 then client:wrong("config", "configure.cms: the key of '" .. client.site.name .. "' is no Admin API key: ID:SECRET, both in hexadecimal") end
  local bytes = secret:gsub("%x%x", function(pair) return string.char(tonumber(pair, 16)) end)
  local now = ctx.now() // 1000
  local signed = base64url(ctx, ctx.json.encode{alg = "HS256", kid = id, typ = "JWT"}) .. "." .. base64url(ctx, ctx.json.encode{iat = now, exp = now + LIFE_S, aud = "/admin/"})
  return signed .. "." .. base64url(ctx, ctx.hmac("sha256", bytes, signed, "raw"))
end

function M.headers(client)
  return {Authorization = "Ghost " .. token(client), ["Accept-Version"] = "v5.0"}
end

function M.explain(body)
  local first = type(body) == "table" and type(body.errors) == "table" and body.errors[1]
  if not first then return nil end
  return first.code or first.type, first.context and first.message .. " " .. first.context or first.message
end

local function entry_of(post)
  return {
    id = post.id, title = post.title, body = post.html, slug = post.slug, version = post.updated_at, url = post.url,
    is_public = post.status == "published" or post.status == "sent", fields = post,
  }
end

local function read(client, collection, path)
  local answer = client:call{path = "/ghost/api/admin/" .. collection .. path, query = {formats = "html"}, accept = {[404] = true}}
  return answer.status == 200 and entry_of(answer.json[collection][1]) or nil
end

function M.get(client, collection, id)
  return read(client, collection, "/" .. client.ctx.urlencode(id) .. "/")
end

function M.by_slug(client, collection, slug)
  return read(client, collection, "/slug/" .. client.ctx.urlencode(slug) .. "/")
end

local function write(client, method, collection, path, post, changes)
  for name, value in pairs(changes.fields) do post[name] = value end
  post.title, post.html = changes.title, changes.body
  local answer = client:call{
    method = method, path = "/ghost/api/admin/" .. collection .. path, query = {source = "html", formats = "html"}, json = {[collection] = {post}},
    accept = {[409] = true},
  }
  return answer.status ~= 409 and entry_of(answer.json[collection][1]) or nil
end

function M.create(client, collection, slug, changes)
  return write(client, "POST", collection, "/", {slug = slug, status = "draft"}, {title = changes.title or slug, body = changes.body, fields = changes.fields})
end

function M.save(client, collection, entry, changes)
  if entry.is_public then client:wrong("published", "ghost keeps no draft of what is public: give title and body to cms/publish instead") end
  return write(client, "PUT", collection, "/" .. entry.id .. "/", {updated_at = entry.version}, changes)
end

function M.publish(client, collection, entry, changes)
  return write(client, "PUT", collection, "/" .. entry.id .. "/", {updated_at = entry.version, status = "published"}, changes)
end

return M
