/* Audits in the loop: on request, and by itself each AUDIT_PERIOD_MS.
 *
 * Whoever asks gets an audit that begins after the question: those who ask while one is under way
 * wait for the next, together.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_CATALOG_AUDITOR_H
#define PYGMY_CATALOG_AUDITOR_H

#include <czmq.h>

#include "broker/bus/log.h"
#include "broker/bus/metrics.h"
#include "services/catalog/audit.h"

struct auditor;

/* @code    OK and @result, or ERR_STORAGE and NULL; ERR_UNAVAILABLE when the auditor goes */
typedef void auditor_done_fn(void *arg, int code, const struct audit_result *result);

/* @path, @log  as audit_new()
 * @metrics     gets pygmy_stock_invariant_violations_total; may be NULL */
struct auditor *auditor_new(zloop_t *loop, const char *path, struct log *log,
                            struct metrics *metrics);
/* Another file is about to stand at the path: let go of this one. Those who wait are told of an audit
 * of the other one, which holds what they have seen, and more. */
void auditor_reset(struct auditor *self);
/* Accepts NULL. */
void auditor_destroy(struct auditor **self_p);

/* Ask for an audit; @done is called once, later. Returns 0 or ERR_BUSY (AUDIT_WAITERS_MAX wait). */
int auditor_ask(struct auditor *self, auditor_done_fn *done, void *arg);

#endif
