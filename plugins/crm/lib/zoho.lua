-- Zoho CRM, API v6. The upsert leaves the comparison to Zoho.
local shape = require "shape"
local token = require "token"
local M = {url = "https://www.zohoapis.com", busy = {TOO_MANY_REQUESTS = true, INTERNAL_ERROR = true}}
local root = "/crm/v6/"
local modules = {company = "Accounts", deal = "Deals"}

local function module_of(client, kind)
  return modules[kind] or client.account.object or "Contacts"
end

local function map_of(client)
  return {email = "Email", first_name = "First_Name", last_name = "Last_Name", phone = "Phone", company = module_of(client) == "Leads" and "Company" or nil}
end

function M.headers(client)
  local value = client.account.token and client:secret("token") or token.fetch(client, (client.account.login_url or "https://accounts.zoho.com") .. "/oauth/v2/token", {
    grant_type = "refresh_token", refresh_token = client:secret("refresh_token"), client_id = client.account.client_id or "", client_secret = client:secret("client_secret"),
  })
  return {Authorization = "Zoho-oauthtoken " .. value}
end

local function fields_named(details)
  local name = type(details) == "table" and details.api_name
  return name and " (" .. tostring(name) .. ")" or ""
end

function M.explain(body)
  local one = type(body) == "table" and (type(body.data) == "table" and body.data[1] or body)
  if type(one) ~= "table" then return nil end
  return one.code, one.message and one.message .. fields_named(one.details)
end

-- What was done to the only record of a request; Zoho also refuses with status 200.
local function done(client, request)
  local answer = client:call(request)
  local one = answer.json and answer.json.data and answer.json.data[1]
  if not one or one.status == "error" then
    local code, message = M.explain(answer.json)
    client:fail(code or answer.status, "zoho refused it: " .. (message or "without a reason"))
  end
  return one
end

local function record(client, object)
  return shape.from_vendor(object.id, client:record_url(object.id), object, map_of(client))
end

local function path_of(client, kind, id)
  return root .. module_of(client, kind) .. "/" .. client.ctx.urlencode(tostring(id))
end

function M.upsert(client, input)
  local key = shape.key_of(client, input, "Email")
  local one = done(client, {
    method = "POST", path = root .. module_of(client) .. "/upsert",
    json = {data = {shape.to_vendor(client, input, map_of(client))}, duplicate_check_fields = {key}},
  })
  return {id = tostring(one.details.id), created = one.action == "insert", url = client:record_url(one.details.id)}
end

-- In criteria commas, parentheses and backslashes have a meaning.
local function criterion(pair)
  return "(" .. pair[1] .. ":equals:" .. tostring(pair[2]):gsub("[\\(),]", "\\%0") .. ")"
end

function M.find(client, input)
  local all = {}
  for _, pair in ipairs(shape.conditions(client, input, map_of(client))) do
    shape.check_names(client, {pair[1]})
    all[#all + 1] = criterion(pair)
  end
  local criteria = #all == 1 and all[1] or "(" .. table.concat(all, "and") .. ")"
  local answer = client:call{path = root .. module_of(client) .. "/search", query = {criteria = criteria, per_page = input.limit}}
  local found = {}
  if answer.status == 204 then return found end -- nobody
  for _, object in ipairs(answer.json.data) do found[#found + 1] = record(client, object) end
  return found
end

function M.get(client, input)
  local answer = client:call{path = path_of(client, input.kind, input.id)}
  if answer.status == 204 then client:fail("INVALID_DATA", "zoho has no " .. input.kind .. " " .. tostring(input.id)) end
  return record(client, answer.json.data[1])
end

function M.note(client, input)
  local path, title, page = path_of(client, nil, input.contact) .. "/Notes", "ref " .. client:mark(), 1
  repeat
    local answer = client:call{path = path, query = {fields = "Note_Title", per_page = 200, page = page}}
    for _, note in ipairs(answer.json and answer.json.data or {}) do
      if note.Note_Title == title then return {id = tostring(note.id), created = false} end
    end
    page = answer.json and answer.json.info and answer.json.info.more_records and page + 1
  until not page
  local one = done(client, {method = "POST", path = path, json = {data = {{Note_Title = title, Note_Content = input.text}}}})
  return {id = tostring(one.details.id), created = true}
end

function M.add_to_list(client, input)
  done(client, {method = "POST", path = path_of(client, nil, input.contact) .. "/actions/add_tags", json = {tags = {{name = tostring(input.list)}}}})
  return {}
end

function M.deal_move(client, input)
  local changed = shape.to_vendor(client, {fields = input.fields}, {})
  changed.Stage = tostring(input.stage)
  local one = done(client, {method = "PUT", path = path_of(client, "deal", input.deal), json = {data = {changed}}})
  return {id = tostring(one.details.id)}
end

return M
