module standin

go 1.18
