-- Microsoft Teams by the webhook of a workflow ("When a Teams webhook request is received"), which takes Adaptive Cards and tells nothing back.
local M = {url = ""}

local function is_item(line)
  return line:find("^%s*[-*+] ") or line:find("^%s*%d+%. ")
end

-- Between items of a list a line break is one; elsewhere Teams wants two, or shows a blank.
local function lines_of(text)
  local out, before = {}, nil
  for line in text:gmatch("[^\r\n]+") do
    if before then out[#out + 1] = is_item(before) and is_item(line) and "\n" or "\n\n" end
    out[#out + 1] = line
    before = line
  end
  return table.concat(out)
end

function M.request(client, input, what)
  if what ~= "post" then client:wrong("input", "teams tells no id of a message, so that none can be answered or changed") end
  local card = input.rich or {
    type = "AdaptiveCard", version = "1.4", ["$schema"] = "http://adaptivecards.io/schemas/adaptive-card.json",
    body = {{type = "TextBlock", text = lines_of(input.text), wrap = true}},
  }
  return {
    method = "POST", url = client:need("webhook"),
    json = {type = "message", attachments = {{contentType = "application/vnd.microsoft.card.adaptive", content = card}}},
  }
end

-- Connectors of the older kind say with status 200 what went wrong.
function M.refusal(answer)
  local failed = answer.body:match("^Webhook message delivery failed.*")
  if failed then return "delivery", failed, failed:find("429", 1, true) ~= nil end
  local why = type(answer.json) == "table" and answer.json.error
  if type(why) ~= "table" then return nil end
  return why.code, why.message
end

function M.read()
  return {}
end

return M
