-- Which account an action means, and the adapter of its vendor: the module of its name, which only the attempts that need it run.
local api = require "api"
local M = {}

local function choose(ctx, name)
  local accounts = ctx.config.accounts
  if #accounts == 0 then
    error(ctx.fail{code = "crm.config", message = "no CRM is configured: write configure: {crm: {accounts: [{vendor: hubspot, token: {secret: NAME}}]}} into bellwire.yaml"})
  end
  local names = {}
  for _, account in ipairs(accounts) do
    account.name = account.name or account.vendor
    if not name or account.name == name then return account end
    names[#names + 1] = account.name
  end
  error(ctx.fail{code = "crm.account", message = "there is no account '" .. name .. "' in configure.crm.accounts, only " .. table.concat(names, ", ")})
end

local function open(ctx, input)
  local account = choose(ctx, input.account)
  local adapter = require(account.vendor)
  if not account.url and not adapter.url then
    error(ctx.fail{code = "crm.config", message = "configure.crm: the account '" .. account.name .. "' (" .. account.vendor .. ") needs a url"})
  end
  return api.open(ctx, account, adapter), adapter
end

-- The adapter's function `what` of the account that the input names.
function M.call(ctx, input, what)
  local client, adapter = open(ctx, input)
  return adapter[what](client, input)
end

-- A request as it is, with the account's credentials.
function M.request(ctx, input)
  local accept = {}
  for _, status in ipairs(input.accept_status) do accept[status] = true end
  local answer = open(ctx, input):call{method = input.method, path = input.path, query = input.query, json = input.json, accept = accept}
  return {status = answer.status, json = answer.json}
end

return M
