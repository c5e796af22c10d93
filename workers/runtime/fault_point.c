/* Part of the build only with SOUK_FAULT_POINTS. */
#include "runtime/fault_point.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "souk/base.h"

static pthread_once_t s_once = PTHREAD_ONCE_INIT;
static souk_str_t s_name; /* size 0: none */
static long s_at;
static const char *s_file;
static int s_signal;
static atomic_long s_passages;

/* NOLINTBEGIN(concurrency-mt-unsafe): nothing of ours changes the environment. */
static void s_read(void) {
    const char *fault = getenv("SOUK_FAULT");
    if (fault == NULL) {
        return;
    }
    const char *colon = strchrnul(fault, ':');
    s_at = *colon != '\0' ? strtol(colon + 1, NULL, 10) : 1;
    s_file = getenv("SOUK_FAULT_FILE");
    s_signal = getenv("SOUK_FAULT_STOP") != NULL ? SIGSTOP : SIGKILL;
    s_name = (souk_str_t){.data = fault, .size = (size_t)(colon - fault)};
}
/* NOLINTEND(concurrency-mt-unsafe) */

void souk_fault_reach(const char *name) {
    (void)pthread_once(&s_once, s_read);
    if (s_name.size == 0 || !souk_str_equal(s_name, souk_str_of(name)) ||
        atomic_fetch_add(&s_passages, 1) + 1 != s_at) {
        return;
    }
    if (s_file == NULL || open(s_file, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600) >= 0) {
        (void)kill(getpid(), s_signal);
    }
}
