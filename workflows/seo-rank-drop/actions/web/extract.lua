-- uses: web/extract@1
return action {
  name = "web/extract",
  version = "1.0.0",
  doc = "The readable text of a web page.",
  effect = "read",
  inputs = {url = {type = "string", format = "uri", required = true}, max_chars = {type = "integer", default = 20000}},
  outputs = {text = {type = "string"}},
  run = function(ctx, input)
    local r = ctx.http{method = "GET", url = input.url}
    if r.status ~= 200 then return ctx.fail{code = "web_status", message = "the page answered " .. r.status} end
    local text = r.body:gsub("<[^>]*>", " "):gsub("%s+", " ")
    return {text = text:sub(1, input.max_chars)}
  end,
}
