/* The core's notes as log lines (docs/runbooks/events.md) and the counters that only they tell. */
#ifndef SOUK_BROKER_NOTES_H
#define SOUK_BROKER_NOTES_H

#include "core.h"

void souk_note_log(const souk_note_t *note);

#endif
