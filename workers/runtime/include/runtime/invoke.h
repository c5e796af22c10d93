/* One call without threads or sockets: decode the request, run the handler, encode the reply. The
 * runtime's slots and loop are built on this, and so are the tests of handlers.
 *
 * A call belongs to one thread at a time; only souk_ctx_cancel may come from another. It is made
 * once per method and used again and again: its arena and its reply buffer keep a little memory
 * from call to call. */
#ifndef RUNTIME_INVOKE_H
#define RUNTIME_INVOKE_H

#include "runtime/ctx.h"
#include "runtime/service.h"
#include "souk/envelope.h"

#define SOUK_BATCH_CALLS_MAX 256

/* method is borrowed and outlives the call. */
souk_ctx_t *souk_ctx_new(const souk_method_t *method);
void souk_ctx_destroy(souk_ctx_t **self_p);

/* Begins a call: req is borrowed, what it points to must live until souk_ctx_end. */
void souk_ctx_begin(souk_ctx_t *self, const souk_req_t *req, int64_t deadline_us);
/* As above with a copy of the whole envelope, which holds a valid REQ: for calls that wait. */
void souk_ctx_begin_copy(souk_ctx_t *self, souk_str_t envelope, int64_t deadline_us);

/* Decodes, runs, encodes. service and slot as for the handler. */
void souk_ctx_run(souk_ctx_t *self, void *service, void *slot);
/* All are calls of one batchable method; 1 to SOUK_BATCH_CALLS_MAX. Those whose request is not
 * valid get their error and do not reach the handler. */
void souk_ctx_run_batch(souk_ctx_t *const *calls, size_t calls_count, void *service, void *slot);

/* The outcome, borrowed until souk_ctx_end. SOUK_OK: body is the reply's map. Otherwise body is the
 * map of an ERR, whose code is never a private one; the error returned may be. */
souk_err_t souk_ctx_outcome(const souk_ctx_t *self, souk_str_t *ret_body);
int64_t souk_ctx_exec_us(const souk_ctx_t *self);
bool souk_ctx_replayed(const souk_ctx_t *self);
const souk_method_t *souk_ctx_method(const souk_ctx_t *self);
const souk_req_t *souk_ctx_req(const souk_ctx_t *self);
/* Why, for the log: what souk_ctx_fail said; may be empty. */
souk_str_t souk_ctx_detail(const souk_ctx_t *self);

/* For what runs a handler's body: the encoded reply, encoded now unless it was. Errors as of
 * souk_ctx_encode_reply. */
SOUK_MUST_CHECK souk_err_t souk_ctx_reply_require(souk_ctx_t *self, souk_str_t *ret_reply);
/* The body will run again: forgets what it said about its error and its reply. */
void souk_ctx_begin_again(souk_ctx_t *self);

/* Frees the request and its memory; the object may begin again. */
void souk_ctx_end(souk_ctx_t *self);

/* Any thread. */
void souk_ctx_cancel(souk_ctx_t *self);

#endif
