/* Preloaded into PostgreSQL: every fdatasync, by which it makes its log durable, takes so many
 * microseconds more. A disk of a data centre across a network takes 500 to 2,000; the local one of
 * a virtual machine may take 50, with a cache behind it. */
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int fdatasync(int fd) {
    int (*next)(int) = NULL;
    *(void **)&next = dlsym(RTLD_NEXT, "fdatasync");
    const char *text = getenv("SLOW_SYNC_US"); /* NOLINT(concurrency-mt-unsafe): nobody sets it */
    long us = text != NULL ? atol(text) : 0;
    struct timespec pause = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};
    nanosleep(&pause, NULL);
    return next(fd);
}
