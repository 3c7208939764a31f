-- What chat/post, chat/reply and chat/update have in common: what they take, beside what names the message, and what they give.
local M = {}

function M.inputs(own)
  own.service = {type = "string", doc = "which of configure.chat.services; default the first"}
  own.channel = {type = "any", doc = "default: that of the configuration"}
  own.text = {type = "string"}
  own.rich = {type = "any", doc = "slack: blocks; discord: embeds; teams: an Adaptive Card; mattermost: attachments; telegram: reply_markup"}
  own.mentions = {type = "boolean", default = false, doc = "may the text call people: @here, <!channel>, <@U1>"}
  own.fields = {type = "object", default = {}, doc = "more of the request, by the vendor's own names"}
  return own
end

M.outputs = {
  id = {type = "string", doc = "of the message; teams tells none"},
  channel = {type = "string", doc = "where it is, as chat/reply and chat/update want it"},
  thread = {type = "string", doc = "for chat/reply"},
}

return M
