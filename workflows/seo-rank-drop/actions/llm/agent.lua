-- uses: llm/agent@1
return action {
  name = "llm/agent",
  version = "1.0.0",
  doc = "A language model that works towards a goal and answers by a schema.",
  inputs = {goal = {type = "string", required = true}, context = {type = "object"}, tools = {type = "array", default = {}}, schema = {type = "object"}},
  secrets = {"LLM_KEY"},
  run = function(ctx, input)
    local r = ctx.http{
      method = "POST", url = "https://llm.example/v1/agent",
      headers = {Authorization = "Bearer " .. ctx.secret("LLM_KEY"), ["Idempotency-Key"] = ctx.idempotency_key},
      json = input,
    }
    if r.status == 429 or r.status >= 500 then
      return ctx.retry{code = "llm_" .. r.status, after = r.headers["retry-after"]}
    end
    if r.status >= 400 then return ctx.fail{code = "llm_rejected", message = r.body} end
    return {data = r.json.data, usage = r.json.usage}
  end,
}
