/* The broker core fed with whole conversations: nothing that peers send, and in no order, may trip
 * an assertion or the invariants.
 *
 * The input is a list of events. One byte says what (bits 0-1: frame, frame, gone, time; bit 2:
 * side; bits 3-4: peer), then for a frame two bytes of length (little endian) and the frame, for
 * time one byte (passes its square in milliseconds). */
#include "core.h"

#include <stdint.h>
#include <stdlib.h>

static souk_buf_t s_envelope;
static bool s_clogged;

static souk_buf_t *s_begin(void *arg, souk_side_t side, souk_peer_t peer) {
    (void)arg;
    (void)side;
    (void)peer;
    souk_buf_clear(&s_envelope);
    return &s_envelope;
}

/* What the core writes has to be readable. */
static souk_err_t s_commit(void *arg, souk_side_t side, souk_peer_t peer) {
    (void)arg;
    if (s_clogged && side == SOUK_SIDE_BACK && peer == 3) {
        return SOUK_ERR_OVERLOADED;
    }
    souk_mp_cursor_t at;
    souk_envelope_t envelope;
    souk_mp_cursor_init(&at, s_envelope.data, s_envelope.size);
    souk_assert(!s_envelope.overflow && souk_envelope_read(&at, &envelope) == SOUK_OK);
    souk_assert(souk_mp_at_end(&at));
    return SOUK_OK;
}

static void s_forget(void *arg, souk_side_t side, souk_peer_t peer) {
    (void)arg;
    (void)side;
    (void)peer;
}

static void s_note(void *arg, const souk_note_t *note) {
    (void)arg;
    (void)note;
}

static void s_waited(void *arg, uint32_t index, uint8_t priority, int64_t us) {
    (void)arg;
    (void)index;
    (void)priority;
    souk_assert(us >= 0);
}

static const souk_out_t s_out = {
    .begin = s_begin, .commit = s_commit, .forget = s_forget, .note = s_note, .waited = s_waited};

/* Takes one event off the input; false at its end. */
static bool s_next(const uint8_t **data, size_t *size, souk_event_t *event, int64_t *now_us) {
    if (*size < 2) {
        return false;
    }
    uint8_t what = (*data)[0], arg = (*data)[1];
    *event = (souk_event_t){.kind = SOUK_EVENT_TICK,
                            .side = (what & 4) != 0 ? SOUK_SIDE_BACK : SOUK_SIDE_FRONT,
                            .peer = (what >> 3) & 3};
    size_t used = 2;
    if ((what & 3) < 2 && *size >= 3) {
        size_t length = (size_t)arg | (size_t)(*data)[2] << 8;
        used = 3;
        length = length < *size - used ? length : *size - used;
        event->kind = SOUK_EVENT_FRAME;
        event->frame = (souk_str_t){(const char *)*data + used, length};
        used += length;
    } else if ((what & 3) == 2) {
        event->kind = SOUK_EVENT_GONE;
    } else {
        s_clogged = (what & 0x80) != 0;
        *now_us += (int64_t)arg * arg * 1000;
    }
    *data += used;
    *size -= used;
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const souk_core_options_t options = {.name = "fuzz",
                                         .epoch = 0x0101010101010101,
                                         .peers_max = 3,
                                         .services_max = 3,
                                         .flights_max = 20,
                                         .queue_count_max = 8,
                                         .queue_bytes_max = 4096,
                                         .bytes_max = 8192,
                                         .envelope_bytes_max = 65536,
                                         .heartbeat_min_ms = 100,
                                         .heartbeat_ms = 500,
                                         .heartbeat_max_ms = 5000,
                                         .cold_start_ms = 300,
                                         .reserve_ms = 2,
                                         .retry_after_ms = 1000,
                                         .refusals_max = 2,
                                         .deaths_max = 2,
                                         .floor = 4,
                                         .stop_ms = 1000};
    int64_t now_us = 1000000;
    souk_event_t event;
    souk_core_t *core = souk_core_new(&options, now_us);
    souk_buf_init(&s_envelope, 1 << 17);
    s_clogged = false;
    while (s_next(&data, &size, &event, &now_us)) {
        souk_core_step(core, &event, now_us, &s_out);
    }
    souk_core_check(core);
    souk_core_destroy(&core);
    souk_buf_done(&s_envelope);
    return 0;
}
