/* See probe.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/bus/probe.h"

#include "broker/bus/limits.h"

void probe_connections(zsock_t *socket)
{
    zsock_set_tcp_keepalive(socket, 1);
    zsock_set_tcp_keepalive_idle(socket, BROKER_PROBE_S);
    zsock_set_tcp_keepalive_intvl(socket, BROKER_PROBE_S);
    zsock_set_tcp_keepalive_cnt(socket, BROKER_PROBES_MAX);
    zsock_set_tcp_maxrt(socket, BROKER_PROBE_S * BROKER_PROBES_MAX * 1000);
}
