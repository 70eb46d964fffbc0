// bw_fifo against a register for each place, the oldest beat in place 0.
module proof #(parameter W = 2, parameter DEPTH = 3) (
    input wire clk, input wire rst_n, input wire [W-1:0] s_data, input wire s_valid, input wire m_ready
);
    wire s_ready;
    wire m_valid;
    wire [W-1:0] m_data;
    wire [$clog2(DEPTH+1)-1:0] count;
    bw_fifo #(.W(W), .DEPTH(DEPTH)) dut (
        .clk(clk), .rst_n(rst_n),
        .s_axis_tdata(s_data), .s_axis_tvalid(s_valid), .s_axis_tready(s_ready),
        .m_axis_tdata(m_data), .m_axis_tvalid(m_valid), .m_axis_tready(m_ready), .count(count)
    );
    reg [(DEPTH+1)*W-1:0] places;
    reg [7:0] held;
    wire push = s_valid && s_ready;
    wire pop  = m_valid && m_ready;
    wire [7:0] left = held - pop;
    integer i;
    always @(posedge clk) begin
        if (!rst_n) held <= 0;
        else held <= left + push;
        if (pop) places <= places >> W;
        if (push) for (i = 0; i < DEPTH; i = i + 1) if (left == i) places[i*W +: W] <= s_data;
    end
    always @* begin
        assert (s_ready == (rst_n && held < DEPTH));
        assert (m_valid == (held > 0));
        assert (count == held);
        if (held > 0) assert (m_data == places[W-1:0]);
    end
endmodule
