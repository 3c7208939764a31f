-- What the actions do, whichever the vendor. An entry as adapters give it:
--   {id, title, body, slug, version, url, is_public, fields, raw = the adapter's own,
--    draft = {title, body, is_stale}: what is not public yet; stale: the entry has changed since}
-- An adapter, the module of the vendor's name, has
--   get(client, collection, id), by_slug(client, collection, slug): an entry or nil
--   create(client, collection, slug, changes): an entry, or nil when there has just been made one of this slug
--   save(client, collection, entry, changes), publish(client, collection, entry, changes): an entry, or nil when it has changed since it was read
local api = require "api"
local M = {}

local function choose(ctx, name)
  local names = {}
  for _, site in ipairs(ctx.config.sites) do
    site.name = site.name or site.vendor
    if not name or site.name == name then return site end
    names[#names + 1] = site.name
  end
  if #names == 0 then
    error(ctx.fail{code = "cms.config", message = "no CMS is configured: write configure: {cms: {sites: [{vendor: wordpress, url: …, user: …, password: {secret: NAME}}]}} into bellwire.yaml"})
  end
  error(ctx.fail{code = "cms.site", message = "there is no site '" .. name .. "' in configure.cms.sites, only " .. table.concat(names, ", ")})
end

local function open(ctx, input)
  local site = choose(ctx, input.site)
  local adapter = require(site.vendor)
  if not site.url and not adapter.url then
    error(ctx.fail{code = "cms.config", message = "configure.cms: the site '" .. site.name .. "' (" .. site.vendor .. ") needs a url"})
  end
  local client = api.open(ctx, site, adapter)
  return client, adapter, input.collection or site.collection or adapter.collection or client:need("collection")
end

local function shown(entry)
  return {
    id = tostring(entry.id), title = entry.title, body = entry.body, slug = entry.slug, version = tostring(entry.version), url = entry.url,
    status = entry.is_public and (entry.draft and "changed" or "published") or "draft",
    draft = entry.draft and {title = entry.draft.title, body = entry.draft.body}, fields = entry.fields,
  }
end

-- By id or slug; nil when there is none.
local function look(client, adapter, collection, input)
  if input.id ~= nil then return adapter.get(client, collection, tostring(input.id)) end
  if input.slug then return adapter.by_slug(client, collection, input.slug) end
  client:wrong("input", "give id or slug: which entry is meant")
end

local function must(client, entry, input)
  return entry or client:wrong("not_found", "there is no entry " .. tostring(input.id or input.slug) .. " at " .. client.site.name)
end

-- HTML is not kept to the letter everywhere: what is compared is what is read.
local function text(html)
  return (tostring(html or ""):gsub("<[^>]*>", " "):gsub("%s+", " "):gsub("^ ", ""):gsub(" $", ""))
end

-- Does the entry, or its draft, say all that is to be changed already?
local function has(entry, what, changes)
  for name, value in pairs(changes.fields) do
    if type(value) == "table" or entry.fields[name] ~= value then return false end
  end
  return (changes.title == nil or what.title == changes.title) and (changes.body == nil or text(what.body) == text(changes.body))
end

-- The version that is wanted must still be there, unless all is done: then what has changed it was an attempt before this one.
local function check_version(client, entry, wanted, is_done)
  if is_done or wanted == nil or tostring(entry.version) == tostring(wanted) then return end
  client:wrong("conflict", "the entry " .. tostring(entry.id) .. " has changed: it is at version " .. tostring(entry.version) .. ", and was wanted at " .. tostring(wanted))
end

local function changes_of(input)
  return {title = input.title, body = input.body, fields = input.fields}
end

function M.get(ctx, input)
  local client, adapter, collection = open(ctx, input)
  return shown(must(client, look(client, adapter, collection, input), input))
end

-- Somebody else was quicker: it is read again, and judged again, by the next attempt.
local function again(client)
  error(client.ctx.retry{code = "cms." .. client.site.vendor .. ".conflict", message = "the entry has changed between reading and writing", after = 0})
end

function M.draft(ctx, input)
  local client, adapter, collection = open(ctx, input)
  local changes, slug, created, entry = changes_of(input), input.slug or "draft-" .. client:mark(), false, nil
  if input.id ~= nil then
    entry = must(client, look(client, adapter, collection, input), input)
  else
    entry = adapter.by_slug(client, collection, slug)
  end
  if not entry then
    entry, created = adapter.create(client, collection, slug, changes) or again(client), true
  else
    local is_done = has(entry, entry.draft or entry, changes)
    check_version(client, entry, input.if_version, is_done)
    if not is_done then entry = adapter.save(client, collection, entry, changes) or again(client) end
  end
  local out = shown(entry)
  return {id = out.id, slug = out.slug, version = out.version, url = out.url, created = created}
end

function M.publish(ctx, input)
  local client, adapter, collection = open(ctx, input)
  local entry = must(client, look(client, adapter, collection, {id = input.id}), input)
  local changes = changes_of(input)
  if entry.draft and entry.draft.is_stale and input.if_version == nil then entry.draft = nil end
  local is_done = entry.is_public and has(entry, entry, changes) and (entry.draft == nil or changes.title ~= nil and changes.body ~= nil)
  check_version(client, entry, input.if_version, is_done)
  if not is_done then entry = adapter.publish(client, collection, entry, changes) or again(client) end
  local out = shown(entry)
  return {id = out.id, version = out.version, url = out.url}
end

return M
