-- uses: chat/post@1
local message = require "message"
local services = require "services"
return action {
  name = "chat/post",
  version = "1.0.0",
  doc = "Posts a message.",
  limit = "chat",
  inputs = message.inputs{},
  outputs = message.outputs,
  run = function(ctx, input) return services.call(ctx, input, "post") end,
}
