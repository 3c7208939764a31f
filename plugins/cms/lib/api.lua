-- Requests to one site within one attempt. What the vendor refuses is raised as a failure with the vendor's own code and words; what may be better later
-- is raised as one that is tried again.
local M = {}
local Client = {}
Client.__index = Client

-- vendor: {headers = function(client), explain = function(body): code, message}
function M.open(ctx, site, vendor)
  return setmetatable({ctx = ctx, site = site, vendor = vendor, url = (site.url or vendor.url):gsub("/+$", "")}, Client)
end

-- What the workflow or the configuration is to blame for, whatever the vendor.
function Client:wrong(what, message)
  error(self.ctx.fail{code = "cms." .. what, message = message})
end

function Client:refuse(answer)
  local code, message = self.vendor.explain(answer.json)
  code = "cms." .. self.site.vendor .. "." .. tostring(code or answer.status):gsub("[^%w_.-]", "_")
  message = self.site.vendor .. " answered " .. answer.status .. ": " .. tostring(message or (answer.body ~= "" and answer.body) or "nothing")
  if answer.status == 408 or answer.status == 423 or answer.status == 429 or answer.status >= 500 then
    error(self.ctx.retry{code = code, message = message, after = answer.headers["retry-after"] or answer.headers["x-contentful-ratelimit-reset"]})
  end
  error(self.ctx.fail{code = code, message = message})
end

-- accept: statuses beside 2xx that are answers, as a set.
function Client:call(request)
  local headers = self.vendor.headers(self)
  for name, value in pairs(request.headers or {}) do headers[name] = value end
  local answer = self.ctx.http{
    method = request.method or "GET", url = self.url .. request.path, query = request.query, json = request.json, headers = headers,
  }
  if (request.accept or {})[answer.status] then return answer end
  if answer.status < 200 or answer.status > 299 then self:refuse(answer) end
  if answer.json == nil then
    error(self.ctx.retry{code = "cms." .. self.site.vendor .. ".no_json", message = self.site.vendor .. " answered " .. answer.status .. " with what is no JSON"})
  end
  return answer
end

-- A value of the site's configuration, or of its secret, which has to be there.
function Client:need(name)
  local value = self.site[name]
  if not value then self:wrong("config", "configure.cms: the site '" .. self.site.name .. "' (" .. self.site.vendor .. ") has no " .. name) end
  return type(value) == "table" and self.ctx.secret(value) or value
end

-- Short, and the same for all attempts of a step.
function Client:mark()
  return self.ctx.hmac("sha256", "bellwire.cms", self.ctx.idempotency_key):sub(1, 16)
end

return M
