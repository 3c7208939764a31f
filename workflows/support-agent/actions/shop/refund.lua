-- uses: shop/refund@1
return action {
  name = "shop/refund",
  version = "1.0.0",
  doc = "Pays an order back, whole.",
  inputs = {number = {type = "string", required = true}, reason = {type = "string", required = true}},
  outputs = {id = {type = "string"}},
  secrets = {"SHOP_KEY"},
  run = function(ctx, input)
    local r = ctx.http{
      method = "POST", url = "https://shop.example/orders/" .. input.number .. "/refund",
      headers = {Authorization = "Bearer " .. ctx.secret("SHOP_KEY"), ["Idempotency-Key"] = ctx.idempotency_key},
      json = {reason = input.reason},
    }
    if r.status == 429 or r.status >= 500 then return ctx.retry{code = "shop_" .. r.status, after = r.headers["retry-after"]} end
    if r.status >= 400 then return ctx.fail{code = "shop_rejected", message = r.body} end
    return {id = r.json.id}
  end,
}
