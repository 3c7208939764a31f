-- uses: shop/ask_team@1
return action {
  name = "shop/ask_team",
  version = "1.0.0",
  doc = "Tells the support team that somebody has to decide about an order.",
  inputs = {order = {type = "string", required = true}, url = {type = "string", required = true}},
  secrets = {"SHOP_KEY"},
  run = function(ctx, input)
    local r = ctx.http{
      method = "POST", url = "https://shop.example/questions",
      headers = {Authorization = "Bearer " .. ctx.secret("SHOP_KEY"), ["Idempotency-Key"] = ctx.idempotency_key},
      json = input,
    }
    if r.status == 429 or r.status >= 500 then return ctx.retry{code = "shop_" .. r.status} end
    if r.status >= 400 then return ctx.fail{code = "shop_rejected", message = r.body} end
    return {}
  end,
}
