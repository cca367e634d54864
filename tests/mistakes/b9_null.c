/* b9_null.c - a handler whose function is NULL. Refused by `cashewd --check-handlers`. */
#include <cashew.h>

CASHEW_HANDLER(NULL);
