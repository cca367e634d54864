/* store_error.h - inside of store/: what a server's error code means; see store_classify(). */
#ifndef STORE_ERROR_H
#define STORE_ERROR_H

/* 0 for a duplicate key, or one of the store's errors. */
int store_classify_code(int code);

#endif
