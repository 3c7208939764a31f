-- Dynamics 365 (Dataverse), Web API. With an alternate key the upsert is one request. Without one the address is looked for, and whoever is not there is
-- put under an id that follows from the address: a second attempt, or another run at the same time, meets the same row.
local shape = require "shape"
local token = require "token"
local M = {}
local root = "/api/data/v9.2/"
local map = {email = "emailaddress1", first_name = "firstname", last_name = "lastname", phone = "telephone1"}
local sets = {contact = "contacts", company = "accounts", deal = "opportunities"}
local id_of = {contact = "contactid", company = "accountid", deal = "opportunityid"}
local pages = {contact = "contact", company = "account", deal = "opportunity"}

function M.headers(client)
  local value = client.account.token and client:secret("token")
  if not value then
    local login = client.account.login_url or "https://login.microsoftonline.com"
    local tenant = client.account.tenant or client:wrong("config", "configure.crm: the account '" .. client.account.name .. "' has no tenant")
    value = token.fetch(client, login .. "/" .. client.ctx.urlencode(tenant) .. "/oauth2/v2.0/token", {
      grant_type = "client_credentials", client_id = client.account.client_id or "", client_secret = client:secret("client_secret"), scope = client.url .. "/.default",
    })
  end
  return {Authorization = "Bearer " .. value, ["OData-Version"] = "4.0", ["OData-MaxVersion"] = "4.0", Accept = "application/json"}
end

function M.explain(body)
  local why = type(body) == "table" and body.error
  if type(why) ~= "table" then return nil end
  return why.code ~= "" and why.code or nil, why.message
end

local function literal(value)
  if type(value) == "number" or type(value) == "boolean" then return tostring(value) end
  return "'" .. tostring(value):gsub("'", "''") .. "'"
end

-- contacts(00000000-…) or contacts(emailaddress1='…')
local function path_of(client, kind, key)
  return root .. sets[kind] .. "(" .. key .. ")"
end

local function uuid(client, id)
  id = tostring(id):lower()
  if not id:find("^%x+%-%x+%-%x+%-%x+%-%x+$") or #id ~= 36 then client:wrong("input", "'" .. id .. "' is no id of dynamics: a UUID is wanted") end
  return id
end

local function url_of(client, kind, id)
  local page = client.url .. "/main.aspx?pagetype=entityrecord&etn=" .. pages[kind] .. "&id=" .. id
  return kind == "contact" and client:record_url(id, page) or page
end

local function record(client, kind, object)
  return shape.from_vendor(object[id_of[kind]], url_of(client, kind, object[id_of[kind]]), object, kind == "contact" and map or {})
end

local function list(client, filter, limit, select)
  local names = {"contactid"}
  for _, name in ipairs(shape.check_names(client, select)) do names[#names + 1] = name end
  return client:json{
    path = root .. "contacts", query = {["$filter"] = filter, ["$select"] = table.concat(names, ","), ["$orderby"] = "createdon", ["$top"] = limit},
  }.value
end

local function key_for(client, input, fields)
  local name, value = shape.key_of(client, input, client.account.email_key)
  if name then
    fields[name] = nil -- it stands in the address
    return name .. "=" .. client.ctx.urlencode(literal(value))
  end
  local found = list(client, "emailaddress1 eq " .. literal(input.email), 1, {})[1]
  return found and found.contactid or client:uuid_of("contact:" .. input.email:lower())
end

function M.upsert(client, input)
  local fields = shape.to_vendor(client, input, map)
  local answer = client:call{
    method = "PATCH", path = path_of(client, "contact", key_for(client, input, fields)), query = {["$select"] = "contactid"}, json = fields,
    headers = {Prefer = "return=representation"},
  }
  local id = answer.json.contactid
  return {id = id, created = answer.status == 201, url = url_of(client, "contact", id)}
end

function M.find(client, input)
  local where, found, names = {}, {}, {"emailaddress1", "firstname", "lastname", "telephone1"}
  for _, pair in ipairs(shape.conditions(client, input, map)) do
    shape.check_names(client, {pair[1]})
    where[#where + 1] = pair[1] .. " eq " .. literal(pair[2])
  end
  for _, name in ipairs(input.select) do names[#names + 1] = name end
  for _, object in ipairs(list(client, table.concat(where, " and "), input.limit, names)) do found[#found + 1] = record(client, "contact", object) end
  return found
end

function M.get(client, input)
  return record(client, input.kind, client:json{path = path_of(client, input.kind, uuid(client, input.id))})
end

function M.note(client, input)
  local id = client:uuid_of("note:" .. client.ctx.idempotency_key)
  local answer = client:call{
    method = "PATCH", path = root .. "annotations(" .. id .. ")", query = {["$select"] = "annotationid"}, headers = {Prefer = "return=representation"},
    json = {subject = "Note", notetext = input.text, ["objectid_contact@odata.bind"] = "/contacts(" .. uuid(client, input.contact) .. ")"},
  }
  return {id = id, created = answer.status == 201}
end

function M.add_to_list(client, input)
  client:call{
    method = "POST", path = root .. "AddListMembersList",
    json = {
      List = {["@odata.type"] = "Microsoft.Dynamics.CRM.list", listid = uuid(client, input.list)},
      Members = {{["@odata.type"] = "Microsoft.Dynamics.CRM.contact", contactid = uuid(client, input.contact)}},
    },
  }
  return {}
end

-- If-Match: a deal that is not there must not be made.
function M.deal_move(client, input)
  local changed = shape.to_vendor(client, {fields = input.fields}, {})
  changed.stepname = tostring(input.stage)
  client:call{method = "PATCH", path = path_of(client, "deal", uuid(client, input.deal)), json = changed, headers = {["If-Match"] = "*"}}
  return {id = uuid(client, input.deal)}
end

return M
