/* Each passage is made by a child, which may die of it. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/fault_point.h"

#define PATH_BYTES 64

/* The signal that ended a child with these settings after it passed "here" so often; 0: it lived.
 */
static int s_pass(const char *fault, const char *file, int passages) {
    pid_t child = fork();
    cr_assert(child >= 0);
    if (child == 0) {
        setenv("SOUK_FAULT", fault, 1);
        unsetenv("SOUK_FAULT_FILE");
        if (file != NULL) {
            setenv("SOUK_FAULT_FILE", file, 1);
        }
        for (int i = 0; i < passages; i++) {
            souk_fault_point("elsewhere");
            souk_fault_point("here");
        }
        _exit(0);
    }
    int status;
    cr_assert_eq(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

Test(fault_point, kills_at_the_named_passage) {
    cr_assert_eq(s_pass("here", NULL, 1), SIGKILL);
    cr_assert_eq(s_pass("here:1", NULL, 1), SIGKILL);
    cr_assert_eq(s_pass("here:3", NULL, 3), SIGKILL);
}

Test(fault_point, does_nothing_before_it_and_elsewhere) {
    cr_assert_eq(s_pass("here:3", NULL, 2), 0);
    cr_assert_eq(s_pass("her", NULL, 5), 0);
    cr_assert_eq(s_pass("here.too", NULL, 5), 0);
    cr_assert_eq(s_pass("", NULL, 5), 0);
}

Test(fault_point, with_a_file_only_one_dies_and_leaves_it) {
    char path[PATH_BYTES] = "/tmp/souk_fault_XXXXXX";
    int file = mkstemp(path);
    cr_assert(file >= 0);
    close(file);
    cr_assert_eq(s_pass("here", path, 5), 0, "another was first");
    unlink(path);
    cr_assert_eq(s_pass("here", path, 5), SIGKILL);
    cr_assert_eq(access(path, F_OK), 0);
    cr_assert_eq(s_pass("here", path, 5), 0, "started again, it lives");
    unlink(path);
}

Test(fault_point, stops_and_goes_on) {
    pid_t child = fork();
    cr_assert(child >= 0);
    if (child == 0) {
        setenv("SOUK_FAULT", "here", 1);
        setenv("SOUK_FAULT_STOP", "1", 1);
        souk_fault_point("here");
        _exit(7);
    }
    int status;
    cr_assert_eq(waitpid(child, &status, WUNTRACED), child);
    cr_assert(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
    cr_assert_eq(kill(child, SIGCONT), 0);
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 7);
}
