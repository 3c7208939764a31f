-- Pipedrive, API v2 (notes: v1). It knows no unique fields: whoever is there is looked for, and changed or added.
local shape = require "shape"
local M = {reset = "x-ratelimit-reset"}
local kinds = {contact = "persons", company = "organizations", deal = "deals"}
local page_of = {contact = "person", company = "organization", deal = "deal"}

function M.headers(client)
  return {["x-api-token"] = client:secret("token")}
end

function M.explain(body)
  if type(body) ~= "table" then return nil end
  return body.code, body.error
end

local function url_of(client, kind, id)
  if kind == "contact" then return client:record_url(id, client.url .. "/person/{id}") end
  return client.url .. "/" .. page_of[kind] .. "/" .. tostring(id)
end

local function data(client, request)
  return client:json(request).data
end

local function primary(list)
  for _, one in ipairs(type(list) == "table" and list or {}) do if one.primary then return one.value end end
  return type(list) == "table" and list[1] and list[1].value or nil
end

local function record(client, kind, object)
  local out = {id = tostring(object.id), url = url_of(client, kind, object.id), fields = object}
  if kind == "contact" then
    out.email, out.phone = primary(object.emails), primary(object.phones)
    out.first_name = type(object.first_name) == "string" and object.first_name or nil
    out.last_name = type(object.last_name) == "string" and object.last_name or nil
  end
  return out
end

local function has(list, wanted)
  for _, value in ipairs(list or {}) do if tostring(value):lower() == wanted:lower() then return true end end
  return false
end

-- The ids of those that have exactly this value. `listed`: where the search says what it has found.
local function search(client, kind, field, listed, value, limit)
  local ids = {}
  local said = data(client, {path = "/api/v2/" .. kinds[kind] .. "/search", query = {term = value, fields = field, exact_match = true, limit = limit}})
  for _, one in ipairs(said.items) do
    if has(type(one.item[listed]) == "table" and one.item[listed] or {one.item[listed]}, value) then ids[#ids + 1] = one.item.id end
  end
  table.sort(ids) -- the oldest first
  return ids
end

local function search_contacts(client, input, limit)
  if input.external_id ~= nil then
    local key, value, ids = shape.external_key(client), tostring(input.external_id), {}
    for _, id in ipairs(search(client, "contact", "custom_fields", "custom_fields", value, limit)) do
      local fields = data(client, {path = "/api/v2/persons/" .. id, query = {custom_fields = key}}).custom_fields
      if type(fields) == "table" and has({fields[key]}, value) then ids[#ids + 1] = id end -- the search is in all fields
    end
    return ids
  end
  if input.email then return search(client, "contact", "email", "emails", input.email, limit) end
  client:wrong("input", "give email or external_id: pipedrive looks for contacts by these")
end

local function organization(client, name)
  local found = search(client, "company", "name", "name", name, 10)[1]
  return found or data(client, {method = "POST", path = "/api/v2/organizations", json = {name = name}}).id
end

-- Fields of the account's own are called by 40 signs.
local function add_fields(out, fields)
  for name, value in pairs(fields or {}) do
    if #name == 40 and not name:find("%X") then
      out.custom_fields = out.custom_fields or {}
      out.custom_fields[name] = value
    else
      out[name] = value
    end
  end
  return out
end

local function full_name(first, last)
  return first and last and first .. " " .. last or first or last
end

local function to_vendor(client, input)
  local out = {}
  if input.email then out.emails = {{value = input.email, primary = true, label = "work"}} end
  if input.phone then out.phones = {{value = input.phone, primary = true, label = "work"}} end
  if input.first_name or input.last_name then out.name = full_name(input.first_name, input.last_name) end
  if input.company then out.org_id = organization(client, input.company) end
  if input.external_id ~= nil then out.custom_fields = {[shape.external_key(client)] = tostring(input.external_id)} end
  return add_fields(out, input.fields)
end

-- Further addresses and numbers that the person has are kept, and the half of the name that is not said.
local function keep_others(client, id, input, changed)
  local old = data(client, {path = "/api/v2/persons/" .. id})
  if changed.name and changed.name == full_name(input.first_name, input.last_name) then
    changed.name = full_name(input.first_name or old.first_name, input.last_name or old.last_name)
  end
  for _, name in ipairs{"emails", "phones"} do
    local new = changed[name] and changed[name][1]
    for _, one in ipairs(new and type(old[name]) == "table" and old[name] or {}) do
      if tostring(one.value):lower() ~= tostring(new.value):lower() then table.insert(changed[name], {value = one.value, primary = false, label = one.label}) end
    end
  end
end

function M.upsert(client, input)
  local id = search_contacts(client, input, 10)[1]
  local fields = to_vendor(client, input)
  local created = id == nil
  if id then
    keep_others(client, id, input, fields)
    data(client, {method = "PATCH", path = "/api/v2/persons/" .. id, json = fields})
  else
    fields.name = fields.name or input.email or tostring(input.external_id) -- Pipedrive asks for a name
    id = data(client, {method = "POST", path = "/api/v2/persons", json = fields}).id
  end
  return {id = tostring(id), created = created, url = url_of(client, "contact", id)}
end

function M.find(client, input)
  if next(input.fields) then client:wrong("input", "pipedrive finds contacts by email or external_id, not by fields") end
  local found = {}
  for _, id in ipairs(search_contacts(client, input, input.limit)) do found[#found + 1] = M.get(client, {id = id, kind = "contact"}) end
  return found
end

function M.get(client, input)
  return record(client, input.kind, data(client, {path = "/api/v2/" .. kinds[input.kind] .. "/" .. client.ctx.urlencode(tostring(input.id))}))
end

function M.note(client, input)
  local mark, start = client:mark(), 0
  repeat
    local page = client:json{path = "/api/v1/notes", query = {person_id = tostring(input.contact), sort = "add_time DESC", start = start, limit = 100}}
    for _, note in ipairs(page.data or {}) do
      if note.content:find(mark, 1, true) then return {id = tostring(note.id), created = false} end
    end
    local more = page.additional_data and page.additional_data.pagination
    start = more and more.more_items_in_collection and more.next_start
  until not start
  local said = data(client, {
    method = "POST", path = "/api/v1/notes",
    json = {person_id = math.tointeger(tonumber(input.contact)), content = shape.html(input.text) .. "<br>(ref " .. mark .. ")"},
  })
  return {id = tostring(said.id), created = true}
end

function M.add_to_list(client, input)
  local path = "/api/v2/persons/" .. client.ctx.urlencode(tostring(input.contact))
  local label = math.tointeger(tonumber(input.list))
  if not label then client:wrong("input", "with pipedrive list is the id of a label, a number") end
  local labels = data(client, {path = path}).label_ids
  labels = type(labels) == "table" and labels or {}
  if has(labels, tostring(label)) then return {} end
  labels[#labels + 1] = label
  data(client, {method = "PATCH", path = path, json = {label_ids = labels}})
  return {}
end

function M.deal_move(client, input)
  local stage = math.tointeger(tonumber(input.stage))
  if not stage then client:wrong("input", "with pipedrive stage is the id of a stage, a number") end
  local changed = add_fields({stage_id = stage}, input.fields)
  local said = data(client, {method = "PATCH", path = "/api/v2/deals/" .. client.ctx.urlencode(tostring(input.deal)), json = changed})
  return {id = tostring(said.id)}
end

return M
