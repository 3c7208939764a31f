-- uses: shop/order@1
return action {
  name = "shop/order",
  version = "1.0.0",
  doc = "An order, by its number.",
  effect = "read",
  inputs = {number = {type = "string", required = true}},
  outputs = {state = {type = "string"}, total_cents = {type = "integer"}, first_name = {type = "string"}},
  secrets = {"SHOP_KEY"},
  run = function(ctx, input)
    if not input.number:match("^[A-Z]%-%d+$") then
      return ctx.fail{code = "shop_no_such_order", message = "an order has a number such as A-1042"}
    end
    local r = ctx.http{method = "GET", url = "https://shop.example/orders/" .. input.number, headers = {Authorization = "Bearer " .. ctx.secret("SHOP_KEY")}}
    if r.status == 404 then return ctx.fail{code = "shop_no_such_order", message = "there is no order " .. input.number} end
    if r.status == 429 or r.status >= 500 then return ctx.retry{code = "shop_" .. r.status, after = r.headers["retry-after"]} end
    if r.status >= 400 then return ctx.fail{code = "shop_rejected", message = r.body} end
    return {state = r.json.state, total_cents = r.json.total_cents, first_name = r.json.first_name}
  end,
}
