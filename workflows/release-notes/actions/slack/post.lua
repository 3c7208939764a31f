-- uses: slack/post@1
return action {
  name = "slack/post",
  version = "1.0.0",
  doc = "A message into a channel.",
  inputs = {channel = {type = "string", required = true}, text = {type = "string", required = true}},
  secrets = {"SLACK_TOKEN"},
  run = function(ctx, input)
    local r = ctx.http{
      method = "POST", url = "https://slack.example/api/chat.postMessage",
      headers = {Authorization = "Bearer " .. ctx.secret("SLACK_TOKEN"), ["Idempotency-Key"] = ctx.idempotency_key},
      json = input,
    }
    if r.status == 429 or r.status >= 500 then
      return ctx.retry{code = "slack_" .. r.status, after = r.headers["retry-after"]}
    end
    if r.status >= 400 then return ctx.fail{code = "slack_rejected", message = r.body} end
    return {ts = r.json.ts}
  end,
}
