-- uses: demo/summary@1
return action {
  name = "demo/summary",
  version = "1.0.0",
  doc = "One line about a push, and one for each commit.",
  effect = "none",
  inputs = {
    repository = {type = "string", required = true},
    pusher = {type = "string", default = "somebody"},
    commits = {type = "array", default = {}},
  },
  outputs = {text = {type = "string"}, count = {type = "integer"}},
  run = function(ctx, input)
    local lines = {("%s pushed %d commit(s) to %s"):format(input.pusher, #input.commits, input.repository)}
    for _, commit in ipairs(input.commits) do
      lines[#lines + 1] = "- " .. (commit.message or "(no message)"):gsub("\n.*", "")
    end
    ctx.log("summed up " .. #input.commits .. " commits")
    return {text = table.concat(lines, "\n"), count = #input.commits}
  end,
}
