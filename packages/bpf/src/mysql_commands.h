/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* MySQL's commands by their first byte, for both directions (MySQL internals manual, "Command Phase"). */
#ifndef PICKET_MYSQL_COMMANDS_H
#define PICKET_MYSQL_COMMANDS_H

#define MYSQL_COM_QUIT 0x01
#define MYSQL_COM_QUERY 0x03
#define MYSQL_COM_STATISTICS 0x09
#define MYSQL_COM_CHANGE_USER 0x11
#define MYSQL_COM_STMT_PREPARE 0x16
#define MYSQL_COM_STMT_EXECUTE 0x17
#define MYSQL_COM_STMT_SEND_LONG_DATA 0x18
#define MYSQL_COM_STMT_CLOSE 0x19
#define MYSQL_COM_RESET_CONNECTION 0x1f
#define MYSQL_LOGIN 0xff /* not a command: until the first one, packets belong to the login */

#endif
