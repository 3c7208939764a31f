/* Requests that hold several events: each has an id and a name of its own. */
#include "source/program.h"

bool bw_batch_is_one(const struct bw_trial *trial)
{
    const struct bw_batch_spec *batch = &trial->program->batch;
    if (!batch->is_there) return false;
    if (batch->type.len) return bw_request_is_of_type(trial->request, batch->type);
    return trial->has_json && trial->hits[batch->items].type == BW_JSON_ARRAY;
}

bool bw_source_item(const struct bw_source *source, const struct bw_request *request, struct bw_slice item, struct bw_buf *scratch,
                    struct bw_item *out)
{
    const struct bw_program *program = bw_source_program(source);
    struct bw_trial trial = {
        .program = program, .config = bw_source_settings(source), .keys = bw_source_keys(source), .request = request, .scratch = scratch};
    if (*item.ptr != '{' || !bw_json_scan(item, program->item_paths, program->item_paths ? trial.item_hits : NULL, NULL)) return false;
    trial.document = item;
    trial.has_item = true;
    *out = (struct bw_item){.data = item, .delivery_id = bw_naming_id(&trial, program->batch.id, program->batch.id_count)};
    out->event = bw_naming_event(&trial, program->batch.event, program->batch.event_count, &out->event_trusted);
    return true;
}
