-- uses: chat/reply@1
local message = require "message"
local services = require "services"
return action {
  name = "chat/reply",
  version = "1.0.0",
  doc = "Answers in the thread of a message.",
  limit = "chat",
  inputs = message.inputs{thread = {type = "any", required = true, doc = "`thread` or `id` of chat/post"}},
  outputs = message.outputs,
  run = function(ctx, input) return services.call(ctx, input, "reply") end,
}
