/* Time and interruption: the monotonic clock, pauses, Ctrl-C.
 *
 * Deadlines are points of clock_now_ms(). Every wait of the program ends soon
 * after clock_interrupted() turns true, because the signals are caught without
 * SA_RESTART and no single wait is longer than CLOCK_WAIT_MAX_MS. */
#ifndef CLI_CLOCK_H
#define CLI_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

/* The bound closes the race between looking at the flag and sleeping. */
enum { CLOCK_WAIT_MAX_MS = 200 };

int64_t clock_now_ms(void);
int64_t clock_now_us(void);

/* Milliseconds until the deadline for one poll(2): 0..CLOCK_WAIT_MAX_MS. */
int clock_left_ms(int64_t deadline_ms);

/* Sleep for ms, less if the deadline or a signal comes first. */
void clock_pause(int64_t ms, int64_t deadline_ms);

/* From now on SIGINT and SIGTERM set a flag; a second one ends the process in
 * the ordinary way. */
void clock_catch_signals(void);
bool clock_interrupted(void);
/* The number of the signal that came, 0: none; it is forgotten, and the next
 * one is caught again. */
int clock_take_interrupt(void);

#endif
