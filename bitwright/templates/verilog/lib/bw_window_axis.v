// One axis of a sliding window: follows the taps and tells which lie in the image.
`default_nettype none

module bw_window_axis #(
    parameter I      = 5,  // pixels of the image
    parameter K      = 3,  // taps of the kernel
    parameter S      = 1,  // stride
    parameter D      = 1,  // pixels from tap to tap
    parameter BEFORE = 1,  // padded pixels before
    parameter AFTER  = 1   // padded pixels after
) (
    input  wire clk,        // clock
    input  wire rst_n,      // synchronous reset, active low
    input  wire tap,        // move to the next tap
    input  wire tap_last,   // which is the first of a window again
    input  wire next,       // that of the next window
    input  wire next_last,  // which is the first window again
    output wire is_real      // the tap lies in the image
);

    localparam W = $clog2(I + BEFORE + AFTER + S + 1) + 1;
    localparam [31:0] FIRST_INT = -BEFORE;
    localparam [31:0] TAP_INT   = D;
    localparam [31:0] BACK_INT  = -((K-1)*D);
    localparam [31:0] NEXT_INT  = S - (K-1)*D;
    localparam [31:0] SIZE_INT  = I;

    reg [W-1:0] at_reg;  // pixel of the tap, two's complement
    reg [W-1:0] move;

    always @* begin
        if (!tap_last) move = TAP_INT[W-1:0];
        else if (!next) move = BACK_INT[W-1:0];
        else move = NEXT_INT[W-1:0];
    end

    always @(posedge clk) begin
        if (!rst_n) at_reg <= FIRST_INT[W-1:0];
        else if (tap) at_reg <= (tap_last && next && next_last) ? FIRST_INT[W-1:0] : at_reg + move;
    end

    assign is_real = !at_reg[W-1] && (at_reg < SIZE_INT[W-1:0]);

endmodule

`default_nettype wire
