// Watch a stream and check each frame: zlib's CRC-32 of its elements as little-endian 32-bit integers.
// Made for bring-up: the CRC over a beat is one cycle of logic, deep where a beat has many elements.
`default_nettype none

module bw_trace #(
    parameter W_ELEM  = 8,  // bits of an element; above 32 the low 32 count
    parameter N       = 1,  // elements of a beat
    parameter SIGNED  = 0,  // 1: elements are two's complement
    parameter BIPOLAR = 0,  // 1: elements are one bit, 1 = +1 and 0 = -1
    parameter BEATS   = 16  // beats of a frame
) (
    input  wire                clk,            // clock
    input  wire                rst_n,          // synchronous reset, active low
    input  wire [N*W_ELEM-1:0] s_axis_tdata,   // watched beat
    input  wire                s_axis_tvalid,  // watched beat present
    input  wire                s_axis_tready,  // watched beat taken, by somebody else
    output wire [31:0]         crc,            // of the last complete frame; 0 before the first
    output wire [7:0]          frames          // complete frames since reset, modulo 256
);

    localparam [31:0] POLYNOMIAL = 32'hedb88320;  // reflected, lowest bit first
    localparam [31:0] START      = 32'hffffffff;
    localparam CNT_W = (BEATS > 1) ? $clog2(BEATS) : 1;
    localparam LAST_INT = BEATS - 1;
    localparam [CNT_W-1:0] LAST = LAST_INT[CNT_W-1:0];

    reg [N*W_ELEM-1:0] data_reg;
    reg                valid_reg;
    reg [CNT_W-1:0]    count_reg;
    reg [31:0]         state_reg;  // of the frame under way
    reg [31:0]         crc_reg;
    reg [7:0]          frames_reg;

    wire [32*N-1:0] words;
    reg  [31:0]     state_next;
    integer         i;

    wire last = (count_reg == LAST);

    assign crc    = crc_reg;
    assign frames = frames_reg;

    genvar k;
    generate
        for (k = 0; k < N; k = k + 1) begin : g_element
            wire [W_ELEM-1:0] element = data_reg[k*W_ELEM +: W_ELEM];
            if (BIPOLAR != 0) begin : g_bipolar
                assign words[32*k +: 32] = {{31{!element[0]}}, 1'b1};
            end else begin : g_integer
                bw_resize #(
                    .IN_W(W_ELEM),
                    .OUT_W(32),
                    .SIGNED(SIGNED)
                ) u_word (
                    .d(element),
                    .q(words[32*k +: 32])
                );
            end
        end
    endgenerate

    always @* begin
        state_next = state_reg;
        for (i = 0; i < 32 * N; i = i + 1)
            state_next = {1'b0, state_next[31:1]} ^ (POLYNOMIAL & {32{state_next[0] ^ words[i]}});
    end

    always @(posedge clk) begin
        data_reg <= s_axis_tdata;
        if (!rst_n) begin
            valid_reg  <= 1'b0;
            count_reg  <= {CNT_W{1'b0}};
            state_reg  <= START;
            crc_reg    <= 32'd0;
            frames_reg <= 8'd0;
        end else begin
            valid_reg <= s_axis_tvalid && s_axis_tready;
            if (valid_reg) begin
                count_reg <= last ? {CNT_W{1'b0}} : count_reg + 1'b1;
                state_reg <= last ? START : state_next;
                if (last) begin
                    crc_reg    <= ~state_next;
                    frames_reg <= frames_reg + 1'b1;
                end
            end
        end
    end

endmodule

`default_nettype wire
