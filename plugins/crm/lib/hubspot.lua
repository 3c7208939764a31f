-- HubSpot, CRM API, of version 3 or of a date. An e-mail address is unique there, and so may be fields of one's own: what is compared is left to HubSpot.
local shape = require "shape"
local M = {url = "https://api.hubapi.com"}
local map = {email = "email", first_name = "firstname", last_name = "lastname", phone = "phone", company = "company"}
local objects = {contact = "contacts", company = "companies", deal = "deals"}
local usual = {"email", "firstname", "lastname", "phone", "company"}
local note_to_contact = 202 -- association type

function M.headers(client)
  return {Authorization = "Bearer " .. client:secret("token")}
end

function M.explain(body)
  if type(body) ~= "table" then return nil end
  return body.category, body.message
end

-- What was /crm/v3/objects/contacts is /crm/objects/2026-09/contacts by date; of v3 the associations are v4.
local function at(client, what, numbered)
  local version = client.account.version or "v3"
  if version == "v3" then return "/crm/" .. (numbered or "v3") .. "/" .. what .. "/" end
  if not version:find("^%d%d%d%d%-%d%d$") then client:wrong("config", "configure.crm: version of hubspot is v3 or a date such as 2026-09") end
  return "/crm/" .. what .. "/" .. version .. "/"
end

local function record(client, object)
  return shape.from_vendor(object.id, client:record_url(object.id), object.properties or {}, map)
end

-- HubSpot gives back a few fields only, unless it is told which.
local function properties(input, kind)
  local names = {}
  if (kind or "contact") == "contact" then for _, name in ipairs(usual) do names[#names + 1] = name end end
  for _, name in ipairs(input.select) do names[#names + 1] = name end
  return names
end

-- By an address HubSpot's upsert must name all fields of the contact. So it is changed, and made if it is not there; two of one address are refused.
local function by_address(client, address, fields)
  local contacts = at(client, "objects") .. "contacts"
  local change = {
    method = "PATCH", path = contacts .. "/" .. client.ctx.urlencode(address), query = {idProperty = "email"}, json = {properties = fields}, accept = {[404] = true},
  }
  if fields.email == address then fields.email = nil end -- it is there, maybe as a further address
  local answer = client:call(change)
  if answer.status ~= 404 then return answer.json.id, false end
  fields.email = fields.email or address
  answer = client:call{method = "POST", path = contacts, json = {properties = fields}, accept = {[409] = true}}
  if answer.status ~= 409 then return answer.json.id, true end
  change.accept, fields.email = nil, nil -- somebody was quicker
  return client:json(change).id, false
end

local function by_key(client, key, value, fields)
  local said = client:json{
    method = "POST", path = at(client, "objects") .. "contacts/batch/upsert", json = {inputs = {{id = value, idProperty = key, properties = fields}}},
  }
  local one = (said.results or {})[1]
  if not one then -- 207: the batch was taken, its only member refused
    local why = (said.errors or {})[1] or {}
    client:fail(why.category or "refused", "hubspot refused the contact: " .. (why.message or "without a reason"))
  end
  return one.id, one.new == true
end

function M.upsert(client, input)
  local key, value = shape.key_of(client, input, "email")
  local fields, id, created = shape.to_vendor(client, input, map), nil, nil
  if key == "email" then
    id, created = by_address(client, value, fields)
  else
    id, created = by_key(client, key, value, fields)
  end
  return {id = tostring(id), created = created, url = client:record_url(id)}
end

-- By a unique field it is read directly: the search lags behind what was written.
function M.find(client, input)
  if not next(input.fields) and (input.email or input.external_id ~= nil) then
    local key, value = shape.key_of(client, input, "email")
    local answer = client:call{
      path = at(client, "objects") .. "contacts/" .. client.ctx.urlencode(value), accept = {[404] = true},
      query = {idProperty = key, properties = table.concat(properties(input), ",")},
    }
    return answer.status == 404 and {} or {record(client, answer.json)}
  end
  local filters = {}
  for _, pair in ipairs(shape.conditions(client, input, map)) do
    filters[#filters + 1] = {propertyName = pair[1], operator = "EQ", value = tostring(pair[2])}
  end
  local said = client:json{
    method = "POST", path = at(client, "objects") .. "contacts/search",
    json = {filterGroups = {{filters = filters}}, properties = properties(input), limit = input.limit},
  }
  local found = {}
  for _, object in ipairs(said.results) do found[#found + 1] = record(client, object) end
  return found
end

function M.get(client, input)
  return record(client, client:json{
    path = at(client, "objects") .. objects[input.kind] .. "/" .. client.ctx.urlencode(tostring(input.id)),
    query = {properties = table.concat(properties(input, input.kind), ",")},
  })
end

local function note_with(client, contact, mark)
  local ids, after = {}, nil
  repeat
    local page = client:json{path = at(client, "objects", "v4") .. "contacts/" .. contact .. "/associations/notes", query = {limit = 500, after = after}}
    for _, one in ipairs(page.results) do ids[#ids + 1] = {id = tostring(one.toObjectId)} end
    after = page.paging and page.paging.next and page.paging.next.after
  until not after
  for from = 1, #ids, 100 do
    local some = table.move(ids, from, math.min(from + 99, #ids), 1, {})
    local notes = client:json{method = "POST", path = at(client, "objects") .. "notes/batch/read", json = {properties = {"hs_note_body"}, inputs = some}}
    for _, note in ipairs(notes.results) do
      if (note.properties.hs_note_body or ""):find(mark, 1, true) then return note.id end
    end
  end
end

function M.note(client, input)
  local contact, mark = client.ctx.urlencode(tostring(input.contact)), client:mark()
  local id = note_with(client, contact, mark)
  if id then return {id = tostring(id), created = false} end
  local said = client:json{
    method = "POST", path = at(client, "objects") .. "notes",
    json = {
      properties = {hs_timestamp = tostring(client.ctx.now()), hs_note_body = shape.html(input.text) .. "<br>(ref " .. mark .. ")"},
      associations = {{to = {id = tostring(input.contact)}, types = {{associationCategory = "HUBSPOT_DEFINED", associationTypeId = note_to_contact}}}},
    },
  }
  return {id = tostring(said.id), created = true}
end

function M.add_to_list(client, input)
  local answer = client:call{
    method = "PUT", path = at(client, "lists") .. client.ctx.urlencode(tostring(input.list)) .. "/memberships/add", json = {tostring(input.contact)},
  }
  if answer.json and #(answer.json.recordIdsMissing or {}) > 0 then client:fail("OBJECT_NOT_FOUND", "hubspot has no contact " .. tostring(input.contact)) end
  return {}
end

function M.deal_move(client, input)
  local changed = shape.to_vendor(client, {fields = input.fields}, map)
  changed.dealstage = tostring(input.stage)
  local said = client:json{method = "PATCH", path = at(client, "objects") .. "deals/" .. client.ctx.urlencode(tostring(input.deal)), json = {properties = changed}}
  return {id = tostring(said.id)}
end

return M
