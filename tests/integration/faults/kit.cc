// kit/do@1 in C++: keeps the contract. Built by test_plugin_kit.py.
#include <bellwire_plugin.h>
#include <memory>
#include <string>

namespace {

struct instance {
    const bw_plugin_host *host;
};

struct work {
    instance *self;
    bw_plugin_call *call;
    bw_plugin_timer *timer = nullptr;
};

void end(instance *self, bw_plugin_call *call, bw_plugin_outcome outcome, const std::string &text)
{
    std::unique_ptr<work> gone(static_cast<work *>(call->data));
    bw_plugin_result result{};
    call->data = nullptr;
    result.size = sizeof result;
    result.outcome = outcome;
    if (outcome == BW_PLUGIN_OK) {
        result.output = text.c_str();
        result.output_len = text.size();
    } else {
        result.code = text.c_str();
        result.message = "it was given up";
    }
    self->host->complete(self->host, call, &result);
}

void finish(void *arg)
{
    auto *done = static_cast<work *>(arg);
    end(done->self, done->call, BW_PLUGIN_OK, R"({"done":true})");
}

void *init(const bw_plugin_host *host, const char *, char *, size_t)
{
    return new instance{host};
}

/* No exception may leave it: the host is C. */
void execute(void *arg, bw_plugin_call *call)
{
    auto *self = static_cast<instance *>(arg);
    if (std::string(call->input, call->input_len).find("\"slow\":true") == std::string::npos) {
        end(self, call, BW_PLUGIN_OK, R"({"done":true})");
        return;
    }
    auto *begun = new work{self, call};
    call->data = begun;
    begun->timer = self->host->timer(self->host, 3600000, finish, begun);
}

void cancel(void *arg, bw_plugin_call *call)
{
    auto *self = static_cast<instance *>(arg);
    if (!call->data) return;
    self->host->cancel_timer(self->host, static_cast<work *>(call->data)->timer);
    end(self, call, BW_PLUGIN_FAIL, BELLWIRE_PLUGIN_CANCELLED);
}

void fini(void *arg)
{
    delete static_cast<instance *>(arg);
}

} // namespace

extern "C" BELLWIRE_PLUGIN_EXPORT const bw_plugin bellwire_plugin = {
    sizeof(bw_plugin),
    BELLWIRE_PLUGIN_ABI,
    R"({"name":"kit","version":"1.0.0","actions":[{"name":"kit/do","inputs":{"text":{"type":"string"},"slow":{"type":"boolean","default":false}},
        "outputs":{"done":{"type":"boolean","required":true}}}]})",
    init,
    execute,
    cancel,
    fini,
    nullptr, // health
};
