/* The main of fuzz.h for targets that do not bring it themselves. */
#include "tests/fuzz/fuzz.h"
