# A service with a check over HTTP. `lictor reload` takes changes of this file in.
service {
  name = "web"
  id   = "web1"
  port = 8080
  tags = ["v1"]

  check {
    name     = "answers"
    http     = "http://127.0.0.1:8080/"
    interval = "10s"
    timeout  = "2s"
  }
}
