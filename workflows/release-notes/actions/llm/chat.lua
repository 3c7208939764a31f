-- uses: llm/chat@1
return action {
  name = "llm/chat",
  version = "1.0.0",
  doc = "One answer of a language model.",
  inputs = {system = {type = "string"}, prompt = {type = "string", required = true}},
  secrets = {"LLM_KEY"},
  run = function(ctx, input)
    local r = ctx.http{
      method = "POST", url = "https://llm.example/v1/chat",
      headers = {Authorization = "Bearer " .. ctx.secret("LLM_KEY"), ["Idempotency-Key"] = ctx.idempotency_key},
      json = {system = input.system, prompt = input.prompt},
    }
    if r.status == 429 or r.status >= 500 then
      return ctx.retry{code = "llm_" .. r.status, after = r.headers["retry-after"]}
    end
    if r.status >= 400 then return ctx.fail{code = "llm_rejected", message = r.body} end
    return {text = r.json.text, usage = r.json.usage}
  end,
}
