/* Reference: raw_fanout.py in C, with the same control line. Usage: raw_fanout PORT */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST_SUBSCRIBERS = 19000, MOST_BYTES = 65536 };

static int subscribers[MOST_SUBSCRIBERS];
static int count;
static char frame[MOST_BYTES];
static size_t frame_size;

static void pass(void) {
  for (int i = 0; i < count; i++) {
    if (send(subscribers[i], frame, frame_size, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) exit(1);
  }
}

static void obey(const char *order, size_t size) {
  size_t at = 0;
  if (size >= 5 && order[0] == 'F') {
    uint32_t length;
    memcpy(&length, order + 1, 4);
    frame_size = ntohl(length);
    if (frame_size > size - 5) exit(1);
    memcpy(frame, order + 5, frame_size);
    at = 5 + frame_size;
  }
  for (; at < size; at++) pass();
}

static void admit(int listener) {
  int one = 1;
  int sock = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
  if (sock < 0 || count == MOST_SUBSCRIBERS) exit(1);
  setsockopt(sock, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (send(sock, "+", 1, MSG_NOSIGNAL) != 1) exit(1);
  subscribers[count++] = sock;
}

int main(int argc, char **argv) {
  static char order[MOST_BYTES];
  int one = 1;
  if (argc != 2) return 2;
  struct sockaddr_in address = {
      .sin_family = AF_INET,
      .sin_port = htons((uint16_t)atoi(argv[1])),
      .sin_addr = {htonl(INADDR_LOOPBACK)},
  };
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 4096)) {
    return 1;
  }
  int control = accept(listener, NULL, NULL);
  if (control < 0 || send(control, "+", 1, MSG_NOSIGNAL) != 1) return 1;
  for (;;) {
    struct pollfd ready[2] = {{listener, POLLIN, 0}, {control, POLLIN, 0}};
    if (poll(ready, 2, -1) < 0) return 1;
    if (ready[0].revents) admit(listener);
    if (ready[1].revents) {
      ssize_t size = recv(control, order, sizeof order, 0);
      if (size <= 0) return 0;
      obey(order, (size_t)size);
    }
  }
}
