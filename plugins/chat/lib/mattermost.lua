-- Mattermost, API v4. A post with a pending_post_id that was just there is the one that was just there.
local M = {}

-- @all, @channel and @here call everybody: a sign without width makes them words.
local function quiet(text)
  return (text:gsub("@(%a+)", function(name)
    local word = name:lower()
    return (word == "all" or word == "channel" or word == "here") and "@\u{200b}" .. name or nil
  end))
end

function M.request(client, input, what)
  local json = {message = input.text and (input.mentions and input.text or quiet(input.text))}
  if input.rich then json.props = {attachments = input.rich} end
  local request = {json = json, headers = {Authorization = "Bearer " .. client:need("token")}}
  if what == "update" then
    request.method, request.url = "PUT", client.url .. "/api/v4/posts/" .. client.ctx.urlencode(tostring(input.id)) .. "/patch"
  else
    request.method, request.url = "POST", client.url .. "/api/v4/posts"
    json.channel_id, json.pending_post_id = client:channel(input), client:mark()
    if what == "reply" then json.root_id = tostring(input.thread) end
  end
  return request
end

function M.refusal(answer)
  local said = answer.json
  if type(said) ~= "table" or (answer.status >= 200 and answer.status <= 299) then return nil end
  return said.id and said.id:gsub("%.app_error$", ""), said.message
end

function M.read(client, answer)
  local said = answer.json or {}
  return {id = said.id, channel = said.channel_id, thread = said.root_id and said.root_id ~= "" and said.root_id or said.id}
end

return M
