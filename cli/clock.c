/* Time and interruption; see clock.h. */
#include "cli/clock.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <time.h>

static volatile sig_atomic_t interrupted;

int64_t clock_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t clock_now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int clock_left_ms(int64_t deadline_ms)
{
    int64_t left = deadline_ms - clock_now_ms();
    if (left < 0) {
        left = 0;
    }
    if (left > CLOCK_WAIT_MAX_MS) {
        left = CLOCK_WAIT_MAX_MS;
    }
    return (int)left;
}

void clock_pause(int64_t ms, int64_t deadline_ms)
{
    int64_t until = clock_now_ms() + ms;
    if (until > deadline_ms) {
        until = deadline_ms;
    }
    while (!clock_interrupted() && clock_now_ms() < until) {
        (void)poll(NULL, 0, clock_left_ms(until));
    }
}

static void on_signal(int number)
{
    interrupted = number;
}

void clock_catch_signals(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof(action));
    action.sa_handler = on_signal;
    sigemptyset(&action.sa_mask);
    /* SA_RESETHAND: an impatient second Ctrl-C must always work. */
    action.sa_flags = (int)SA_RESETHAND;
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
}

bool clock_interrupted(void)
{
    return interrupted != 0;
}

int clock_take_interrupt(void)
{
    int number = interrupted;
    interrupted = 0;
    clock_catch_signals();
    return number;
}
