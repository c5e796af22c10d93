/* Services, methods and the lines of requests that wait for them. Records made by requests alone
 * (for a service that nobody serves yet) live only as long as a request waits, or for services
 * until their place is needed; those that workers made are kept until their place is needed. */
#include "state.h"

#include <stdlib.h>

static souk_link_t *s_bucket(const souk_core_t *core, souk_str_t name) {
    return &core->services_table[souk_core_hash(core, name.data, name.size, 1) %
                                 core->options.services_max];
}

souk_service_t *souk_service_find(const souk_core_t *core, souk_str_t name) {
    const souk_link_t *head = s_bucket(core, name);
    for (souk_link_t *at = head->next; at != head; at = at->next) {
        souk_service_t *self = SOUK_OBJECT_OF(at, souk_service_t, same_hash);
        if (self->name_size == name.size && memcmp(self->name, name.data, name.size) == 0) {
            return self;
        }
    }
    return NULL;
}

static bool s_unused(const souk_service_t *self) {
    return self->flights == 0 && self->seats == 0;
}

/* A free place in core->services, made by throwing out an unused service if need be; services_max
 * when there is none. */
static uint32_t s_place(souk_core_t *core) {
    uint32_t unused = core->options.services_max;
    for (uint32_t i = 0; i < core->options.services_max; i++) {
        if (core->services[i] == NULL) {
            return i;
        }
        /* rather one that no worker ever served */
        if (s_unused(core->services[i]) &&
            (unused == core->options.services_max || !core->services[i]->known)) {
            unused = i;
        }
    }
    if (unused < core->options.services_max) {
        souk_service_destroy(core, core->services[unused]);
    }
    return unused;
}

static void s_init_pools(souk_service_t *self) {
    for (int lane = 0; lane < SOUK_LANES_COUNT; lane++) {
        souk_pool_t *pool = &self->pools[lane];
        pool->service = self;
        pool->lane = (souk_lane_t)lane;
        souk_link_init(&pool->seats);
        souk_link_init(&pool->dirty);
        for (int share = 0; share < S_SHARES; share++) {
            souk_link_init(&pool->free[share]);
        }
    }
}

static bool s_may_make(souk_core_t *core, bool by_worker) {
    if (by_worker || core->services_unknown < (core->options.services_max + 1) / 2) {
        return true;
    }
    for (uint32_t i = 0; i < core->options.services_max; i++) {
        souk_service_t *other = core->services[i];
        if (other != NULL && !other->known && s_unused(other)) {
            souk_service_destroy(core, other);
            return true;
        }
    }
    return false;
}

souk_service_t *souk_service_require(souk_core_t *core, souk_str_t name, bool by_worker) {
    souk_service_t *self = souk_service_find(core, name);
    if (self == NULL) {
        uint32_t index = s_may_make(core, by_worker) ? s_place(core) : core->options.services_max;
        if (index == core->options.services_max) {
            return NULL;
        }
        self = calloc(1, sizeof(*self));
        souk_assert(self != NULL);
        self->index = index;
        self->name_size = (uint8_t)name.size;
        memcpy(self->name, name.data, name.size);
        souk_link_init(&self->suspects);
        for (int priority = 0; priority < SOUK_PRIORITIES_COUNT; priority++) {
            souk_link_init(&self->queues[priority].lines);
        }
        s_init_pools(self);
        core->services[index] = self;
        core->services_count++;
        core->services_unknown++;
        souk_list_append(s_bucket(core, name), &self->same_hash);
        souk_core_note(
            core, (souk_note_t){.kind = SOUK_NOTE_SERVICE_MADE, .service = name, .index = index},
            NULL);
    }
    if (by_worker && !self->known) {
        self->known = true;
        core->services_unknown--;
    }
    return self;
}

static void s_destroy_method(souk_core_t *core, souk_method_t *self) {
    souk_assert(self->flights == 0 && !souk_method_served(self));
    souk_wheel_clear(&core->wheel, &self->cold);
    self->service->methods[self->index] = NULL;
    free(self);
}

void souk_service_destroy(souk_core_t *core, souk_service_t *self) {
    souk_assert(s_unused(self));
    for (int i = 0; i < S_METHODS_MAX; i++) {
        if (self->methods[i] != NULL) {
            s_destroy_method(core, self->methods[i]);
        }
    }
    for (int lane = 0; lane < SOUK_LANES_COUNT; lane++) {
        souk_link_remove(&self->pools[lane].dirty);
    }
    souk_link_remove(&self->same_hash);
    core->services[self->index] = NULL;
    core->services_count--;
    if (!self->known) {
        core->services_unknown--;
    }
    free(self);
}

/* Methods are hashed into their array with linear probing; a removed one leaves a hole, so a
 * look-up probes at most as far as any method of the service ever went. */
souk_method_t *souk_method_find(const souk_service_t *service, souk_str_t name) {
    uint32_t start = souk_method_hash(name);
    for (uint32_t i = 0; i <= service->probe_max; i++) {
        souk_method_t *self = service->methods[(start + i) % S_METHODS_MAX];
        if (self != NULL && self->name_size == name.size &&
            memcmp(self->name, name.data, name.size) == 0) {
            return self;
        }
    }
    return NULL;
}

/* A place for a method: a hole, or an unused method that is thrown out; -1 when all are in use. */
static int s_method_place(souk_core_t *core, souk_service_t *service, uint32_t start) {
    for (int pass = 0; pass < 2; pass++) {
        for (uint32_t i = 0; i < S_METHODS_MAX; i++) {
            uint32_t index = (start + i) % S_METHODS_MAX;
            souk_method_t *other = service->methods[index];
            if (pass == 1 && other != NULL && other->flights == 0 && !souk_method_served(other)) {
                s_destroy_method(core, other);
                other = NULL;
            }
            if (other == NULL) {
                service->probe_max = i > service->probe_max ? i : service->probe_max;
                return (int)index;
            }
        }
    }
    return -1;
}

souk_method_t *souk_method_require(souk_core_t *core, souk_service_t *service, souk_str_t name) {
    souk_method_t *self = souk_method_find(service, name);
    if (self != NULL) {
        return self;
    }
    int place = s_method_place(core, service, souk_method_hash(name));
    if (place < 0) {
        return NULL;
    }
    self = calloc(1, sizeof(*self));
    souk_assert(self != NULL);
    self->service = service;
    self->index = (uint8_t)place;
    self->name_size = (uint8_t)name.size;
    memcpy(self->name, name.data, name.size);
    self->unserved_us = core->now_us;
    souk_wheel_timer_init(&self->cold, S_TIMER_METHOD);
    for (int priority = 0; priority < SOUK_PRIORITIES_COUNT; priority++) {
        souk_link_init(&self->lines[priority].flights);
        souk_link_init(&self->lines[priority].active);
        self->lines[priority].method = self;
    }
    service->methods[place] = self;
    return self;
}

bool souk_method_served(const souk_method_t *self) {
    return self->servers[SOUK_LANE_INLINE] + self->servers[SOUK_LANE_SLOT] +
               self->servers[SOUK_LANE_BATCH] >
           0;
}

void souk_method_release(souk_core_t *core, souk_method_t *self) {
    if (self->flights == 0 && !self->known) {
        s_destroy_method(core, self);
    }
}

/* When the request has waited long enough for a first worker: the allowance counts from when it
 * came or from when the last worker left. */
static int64_t s_cold_us(const souk_core_t *core, const souk_method_t *self,
                         const souk_flight_t *flight) {
    int64_t from_us = flight->queued_us > self->unserved_us ? flight->queued_us : self->unserved_us;
    return from_us + (int64_t)core->options.cold_start_ms * 1000;
}

static void s_set_cold(souk_core_t *core, souk_method_t *self) {
    int64_t first_us = INT64_MAX;
    for (int priority = 0; priority < SOUK_PRIORITIES_COUNT; priority++) {
        souk_line_t *line = &self->lines[priority];
        if (!souk_list_empty(&line->flights)) {
            int64_t at_us =
                s_cold_us(core, self, SOUK_OBJECT_OF(line->flights.next, souk_flight_t, place));
            first_us = at_us < first_us ? at_us : first_us;
        }
    }
    if (first_us != INT64_MAX) {
        souk_wheel_set(&core->wheel, &self->cold, first_us);
    }
}

void souk_method_unserved(souk_core_t *core, souk_method_t *self) {
    self->unserved_us = core->now_us;
    s_set_cold(core, self);
}

void souk_method_waits(souk_core_t *core, souk_method_t *self) {
    if (!self->cold.set && !souk_method_served(self)) {
        s_set_cold(core, self);
    }
}

void souk_method_fail_waiting(souk_core_t *core, souk_method_t *self, souk_err_t err,
                              souk_count_t count) {
    self->flights++; /* keeps the method until the end of this function */
    for (int priority = 0; priority < SOUK_PRIORITIES_COUNT; priority++) {
        souk_link_t *line = &self->lines[priority].flights;
        while (!souk_list_empty(line)) {
            souk_flight_fail(core, SOUK_OBJECT_OF(line->next, souk_flight_t, place), err, count);
        }
    }
    self->flights--;
    souk_method_release(core, self);
}

void souk_method_timer(souk_core_t *core, souk_method_t *self) {
    if (souk_method_served(self)) {
        return;
    }
    self->flights++;
    for (int priority = 0; priority < SOUK_PRIORITIES_COUNT; priority++) {
        souk_link_t *line = &self->lines[priority].flights;
        while (!souk_list_empty(line)) {
            souk_flight_t *flight = SOUK_OBJECT_OF(line->next, souk_flight_t, place);
            if (s_cold_us(core, self, flight) > core->now_us) {
                break;
            }
            souk_flight_fail(core, flight, SOUK_ERR_NO_WORKER, SOUK_COUNT_NO_WORKER);
        }
    }
    self->flights--;
    s_set_cold(core, self);
    souk_method_release(core, self);
}
