-- Between Bellwire's names of a contact's fields and a vendor's.
local M = {}
M.names = {"email", "first_name", "last_name", "phone", "company"}

-- map: {first_name = "firstname", …}; what is in `fields` goes along as it is, and before anything else.
function M.to_vendor(client, input, map)
  local out = {}
  for _, name in ipairs(M.names) do
    if input[name] ~= nil then
      if not map[name] then
        client:wrong("input", client.account.vendor .. " has no text for " .. name .. ": name the vendor's own field in `fields`")
      end
      out[map[name]] = input[name]
    end
  end
  if input.external_id ~= nil then out[M.external_key(client)] = input.external_id end
  for name, value in pairs(input.fields or {}) do out[name] = value end
  return out
end

-- A record as actions give it back.
function M.from_vendor(id, url, fields, map)
  local out = {id = tostring(id), url = url, fields = fields}
  for _, name in ipairs(M.names) do
    local value = map[name] and fields[map[name]]
    if type(value) == "string" then out[name] = value end
  end
  return out
end

function M.external_key(client)
  local key = client.account.external_key
  if not key then
    client:wrong("config", "an external_id needs external_key in configure.crm.accounts: the vendor's field that holds it")
  end
  return key
end

-- By what a contact is told from all others: {field, value}. email_field: the vendor's for the address, or nil.
function M.key_of(client, input, email_field)
  if input.external_id ~= nil then return M.external_key(client), tostring(input.external_id) end
  if input.email ~= nil then return email_field, input.email end
  client:wrong("input", "give email or external_id: what tells this contact from the others")
end

local entities = {["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ["\n"] = "<br>"}

-- Some vendors' notes are HTML; what is written is text.
function M.html(text)
  return (text:gsub("[&<>\n]", entities))
end

-- Names of fields go into queries as they are.
function M.check_names(client, names)
  for _, name in ipairs(names) do
    if not name:find("^[%w_.]+$") then client:wrong("input", "'" .. name .. "' is no name of a field") end
  end
  return names
end

-- What find was asked for, as {field, value} pairs of the vendor's.
function M.conditions(client, input, map)
  local found = {}
  for name, value in pairs(M.to_vendor(client, input, map)) do found[#found + 1] = {name, value} end
  if #found == 0 then client:wrong("input", "give email, external_id or fields: what to look for") end
  table.sort(found, function(a, b) return a[1] < b[1] end)
  return found
end

return M
