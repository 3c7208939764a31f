-- uses: chat/update@1
local message = require "message"
local services = require "services"
return action {
  name = "chat/update",
  version = "1.0.0",
  doc = "Changes a message.",
  limit = "chat",
  inputs = message.inputs{id = {type = "any", required = true, doc = "of chat/post"}},
  outputs = message.outputs,
  run = function(ctx, input) return services.call(ctx, input, "update") end,
}
