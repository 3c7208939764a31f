-- Salesforce, REST API. With an external id field the upsert is one request; without one the address is looked for first (SOQL sees what was committed).
local shape = require "shape"
local token = require "token"
local M = {busy = {REQUEST_LIMIT_EXCEEDED = "15m", UNABLE_TO_LOCK_ROW = true, SERVER_UNAVAILABLE = true}}
local root = "/services/data/v62.0"
local objects = {company = "Account", deal = "Opportunity"}

local function object_of(client, kind)
  return objects[kind] or client.account.object or "Contact"
end

-- A lead has a text for its company, a contact an account.
local function map_of(client)
  return {email = "Email", first_name = "FirstName", last_name = "LastName", phone = "Phone", company = object_of(client) == "Lead" and "Company" or nil}
end

function M.headers(client)
  local value = client.account.token and client:secret("token") or token.fetch(client, (client.account.login_url or client.url) .. "/services/oauth2/token", {
    grant_type = "client_credentials", client_id = client.account.client_id or "", client_secret = client:secret("client_secret"),
  })
  return {Authorization = "Bearer " .. value}
end

function M.explain(body)
  local first = type(body) == "table" and body[1]
  if type(first) == "string" then return "MULTIPLE_CHOICES", "several records have this key" end
  if type(first) ~= "table" then return nil end
  return first.errorCode, first.message
end

local escapes = {["\\"] = "\\\\", ["'"] = "\\'", ['"'] = '\\"', ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t", ["\b"] = "\\b", ["\f"] = "\\f"}

-- A value as SOQL has it.
local function literal(value)
  if type(value) == "number" or type(value) == "boolean" then return tostring(value) end
  return "'" .. tostring(value):gsub("[\\'\"\n\r\t\b\f]", escapes) .. "'"
end

local function query(client, soql)
  return client:json{path = root .. "/query", query = {q = soql}}.records
end

local function record(client, object)
  object.attributes = nil
  return shape.from_vendor(object.Id, client:record_url(object.Id, client.url .. "/{id}"), object, map_of(client))
end

local function path_of(client, kind, id)
  return root .. "/sobjects/" .. object_of(client, kind) .. "/" .. client.ctx.urlencode(tostring(id))
end

local function by_address(client, input, fields)
  local object = object_of(client)
  local found = query(client, "SELECT Id FROM " .. object .. " WHERE Email = " .. literal(input.email) .. " ORDER BY CreatedDate, Id LIMIT 1")[1]
  if found then
    client:call{method = "PATCH", path = path_of(client, nil, found.Id), json = fields}
    return found.Id, false
  end
  return client:json{method = "POST", path = root .. "/sobjects/" .. object, json = fields}.id, true
end

function M.upsert(client, input)
  local fields = shape.to_vendor(client, input, map_of(client))
  local key, value = shape.key_of(client, input, client.account.email_key)
  local id, created
  if key then
    fields[key] = nil -- it stands in the address, and Salesforce refuses it in the body
    local said = client:json{method = "PATCH", path = path_of(client, nil, key) .. "/" .. client.ctx.urlencode(value), json = fields}
    id, created = said.id, said.created == true
  else
    id, created = by_address(client, input, fields)
  end
  return {id = id, created = created, url = client:record_url(id, client.url .. "/{id}")}
end

function M.find(client, input)
  local names, where = {"Id", "Email", "FirstName", "LastName", "Phone"}, {}
  if object_of(client) == "Lead" then names[#names + 1] = "Company" end
  for _, name in ipairs(shape.check_names(client, input.select)) do names[#names + 1] = name end
  for _, pair in ipairs(shape.conditions(client, input, map_of(client))) do
    shape.check_names(client, {pair[1]})
    where[#where + 1] = pair[1] .. " = " .. literal(pair[2])
  end
  local found = {}
  local soql = ("SELECT %s FROM %s WHERE %s ORDER BY CreatedDate, Id LIMIT %d"):format(
    table.concat(names, ", "), object_of(client), table.concat(where, " AND "), input.limit)
  for _, object in ipairs(query(client, soql)) do found[#found + 1] = record(client, object) end
  return found
end

function M.get(client, input)
  return record(client, client:json{path = path_of(client, input.kind, input.id)})
end

-- A note is a task that is done: it stands in the activities of the contact. Its subject, unlike its text, can be looked for.
function M.note(client, input)
  local subject = "Note (ref " .. client:mark() .. ")"
  local found = query(client, "SELECT Id FROM Task WHERE WhoId = " .. literal(tostring(input.contact)) .. " AND Subject = " .. literal(subject) .. " LIMIT 1")[1]
  if found then return {id = found.Id, created = false} end
  local said = client:json{
    method = "POST", path = root .. "/sobjects/Task",
    json = {WhoId = tostring(input.contact), Subject = subject, Description = input.text, Status = "Completed"},
  }
  return {id = said.id, created = true}
end

function M.add_to_list(client, input)
  local member = object_of(client) == "Lead" and "LeadId" or "ContactId"
  local answer = client:call{
    method = "POST", path = root .. "/sobjects/CampaignMember", json = {CampaignId = tostring(input.list), [member] = tostring(input.contact)}, accept = {[400] = true},
  }
  if answer.status == 400 and M.explain(answer.json) ~= "DUPLICATE_VALUE" then client:refuse(answer) end -- who is in it already is no failure
  return {}
end

function M.deal_move(client, input)
  local changed = shape.to_vendor(client, {fields = input.fields}, {})
  changed.StageName = tostring(input.stage)
  client:call{method = "PATCH", path = path_of(client, "deal", input.deal), json = changed}
  return {id = tostring(input.deal)}
end

return M
