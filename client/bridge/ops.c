/* What supervisors and monitors ask: is it alive, is it ready, what is it, how does it fare.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/bus/err.h"
#include "client/bridge/exchange.h"
#include "client/bridge/handlers.h"

/* That there is an answer is the answer: the loop turns. Nobody else is looked at. */
void ops_healthz(struct exchange *exchange)
{
    exchange_send(exchange, exchange_json(200, json_pack("{s:s}", "status", "ok")));
}

void ops_readyz(struct exchange *exchange)
{
    struct bridge *bridge = exchange->bridge;
    bool ready = !bridge->draining && readiness_is_ready(bridge->readiness);
    json_t *state =
        json_pack("{s:b, s:o}", "ready", ready, "checks", readiness_checks(bridge->readiness));
    if (ready) {
        exchange_send(exchange, exchange_json(200, state));
        return;
    }
    struct http_reply *reply =
        exchange_problem(exchange, bridge->draining ? ERR_DRAINING : ERR_UNAVAILABLE, NULL, state);
    json_decref(state);
    exchange_send(exchange, reply);
}

void ops_version(struct exchange *exchange)
{
    exchange_send(exchange,
                  exchange_json(200, json_pack("{s:s, s:s, s:s, s:s}", "program", "pygmy-http",
                                               "version", PYGMY_VERSION, "protocol", "PYGMY1",
                                               "name", exchange->bridge->node->name)));
}

void ops_metrics(struct exchange *exchange)
{
    struct http_reply *reply = http_reply_new(200);
    struct bytes_writer text = {0};

    cache_stats_update(exchange->bridge->cache_stats, exchange->bridge->store);
    metrics_write(exchange->bridge->metrics, &text);
    http_reply_body(reply, "text/plain; version=0.0.4; charset=utf-8", (char *)text.data,
                    text.size);
    http_reply_header(reply, "Cache-Control", "no-cache");
    exchange_send(exchange, reply);
}
