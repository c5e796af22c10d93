#include "notes.h"

#include "souk/log.h"

typedef struct {
    souk_log_level_t level;
    const char *event;
    const char *count; /* what the count is; NULL: nothing */
} s_row_t;

static const s_row_t s_rows[] = {
    [SOUK_NOTE_PEER_WELCOME] = {SOUK_LOG_INFO, "BR-PEER-WELCOME", NULL},
    [SOUK_NOTE_PEER_LOST] = {SOUK_LOG_INFO, "BR-PEER-LOST", NULL},
    [SOUK_NOTE_PEER_REFUSED] = {SOUK_LOG_WARN, "BR-PEER-REFUSED", NULL},
    [SOUK_NOTE_PEER_MALFORMED] = {SOUK_LOG_WARN, "BR-PEER-MALFORMED", NULL},
    [SOUK_NOTE_WORKER_READY] = {SOUK_LOG_INFO, "BR-WORKER-READY", "methods"},
    [SOUK_NOTE_WORKER_DRAIN] = {SOUK_LOG_INFO, "BR-WORKER-DRAIN", "inflight"},
    [SOUK_NOTE_WORKER_DRAINED] = {SOUK_LOG_INFO, "BR-WORKER-DRAINED", NULL},
    [SOUK_NOTE_WORKER_DIED] = {SOUK_LOG_WARN, "BR-WORKER-DIED", "inflight"},
    [SOUK_NOTE_READY_LIMIT] = {SOUK_LOG_ERROR, "BR-READY-LIMIT", "left_out"},
    [SOUK_NOTE_POISON] = {SOUK_LOG_ERROR, "BR-POISON", "deaths"},
    [SOUK_NOTE_SERVICE_MADE] = {SOUK_LOG_INFO, "BR-SERVICE-NEW", NULL},
    [SOUK_NOTE_STOPPING] = {SOUK_LOG_INFO, "BR-STOPPING", "held"},
};

void souk_note_log(const souk_note_t *note) {
    const s_row_t *row = &s_rows[note->kind];
    souk_log_field_t fields[8];
    size_t count = 0;
    if (!souk_log_on(row->level)) {
        return;
    }
    if (note->session != 0 || note->peer.size > 0) {
        fields[count++] = SOUK_F_TEXT("side", note->side == SOUK_SIDE_FRONT ? "front" : "back");
        fields[count++] = SOUK_F_STR("peer", note->peer);
        fields[count++] = SOUK_F_INT("session", note->session);
    }
    if (note->service.size > 0) {
        fields[count++] = SOUK_F_STR("service", note->service);
    }
    if (note->method.size > 0) {
        fields[count++] = SOUK_F_STR("method", note->method);
    }
    if (note->request_id.size > 0) {
        fields[count++] = SOUK_F_STR("request_id", note->request_id);
    }
    if (note->reason != NULL) {
        fields[count++] = SOUK_F_TEXT("reason", note->reason);
    }
    if (row->count != NULL) {
        fields[count++] = SOUK_F_INT(row->count, note->count);
    }
    souk_log_write(row->level, row->event, fields, count);
}
